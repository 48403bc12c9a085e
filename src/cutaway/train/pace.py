"""How this machine trains this model fastest: a few steps are timed, nothing is guessed.

More threads, bfloat16 and compilation each pay on one machine and cost on the next (bfloat16 needs hardware for it;
two threads beside another busy program are slower than one). Each candidate is timed on a copy of the model with the
real batch, in alternation so that a passing disturbance hits all alike; the fastest median wins and is written into
the run's recipe.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from cutaway.base.objective import Objective
from cutaway.train.config import Precision, TrainConfig
from cutaway.train.optimizers import build_optimizers
from cutaway.train.trainer import autocast

COMPILE_PAYS_FROM_SECONDS = 600.0
"""Compilation takes half a minute when its cache is cold and gains a tenth at most: not tried in shorter runs."""


LONG_STEP_SECONDS = 3.0
"""A step longer than this is timed once."""


class Candidate(NamedTuple):
    """One way to run a step."""

    precision: Precision
    threads: int
    is_compiled: bool


@dataclasses.dataclass(frozen=True)
class Pace:
    """What was chosen, and how fast it is."""

    precision: Precision
    threads: int
    compile: bool
    seconds_per_step: float
    tried: dict[str, float]
    """Median seconds a step of every candidate, by its description."""

    def describe(self) -> str:
        """Return one line: the choice and what it was chosen from."""
        others = ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in self.tried.items())
        return f"{_describe(self.precision, self.threads, self.compile)} (timed a step: {others})"


def _describe(precision: str, threads: int, is_compiled: bool) -> str:
    return f"{precision}, {threads} thread{'s' * (threads > 1)}{', compiled' * is_compiled}"


def usable_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure_pace(
    objective: Objective,
    config: TrainConfig,
    device: torch.device,
    run_seconds: float | None = None,
    rounds: int = 4,
    made_anew: float = 0.0,
) -> Pace:
    """Time the candidates the config leaves open and return the fastest.

    Args:
        run_seconds: how long the run will be, if known; compilation is tried only when that is long.
        rounds: timed steps of each candidate, after one to warm up.
        made_anew: the share of batches that are made, and not read again; so much of making one is part of a step.
    """
    cores = usable_cores()
    on_cpu = device.type == "cpu"
    threads = [config.threads] if config.threads else sorted({1, cores}) if on_cpu else [torch.get_num_threads()]
    precisions: list[Precision] = ["float32", "bfloat16"] if config.precision == "auto" else [config.precision]
    tries_compiling = config.compile == "auto" and run_seconds is not None and run_seconds >= COMPILE_PAYS_FROM_SECONDS
    group = [Candidate(precision, n, config.compile == "on") for precision in precisions for n in threads]
    threads_before = torch.get_num_threads()
    try:
        medians = _time(group, objective, config, device, rounds, made_anew)
        best = min(medians, key=lambda candidate: medians[candidate])
        if tries_compiling:
            medians |= _time([best._replace(is_compiled=True)], objective, config, device, rounds, made_anew)
            best = min(medians, key=lambda candidate: medians[candidate])
    finally:
        torch.set_num_threads(threads_before)
    tried = {_describe(*candidate): seconds for candidate, seconds in medians.items()}
    return Pace(*best, medians[best], tried)


def _time(
    group: list[Candidate],
    objective: Objective,
    config: TrainConfig,
    device: torch.device,
    rounds: int,
    made_anew: float,
) -> dict[Candidate, float]:
    """Return the median seconds a step of each candidate; a step that takes long is not repeated."""
    making: list[float] = []
    step = _stepper(objective, config, device, group[0].is_compiled, [candidate.precision for candidate in group])
    times: dict[Candidate, list[float]] = {}
    for round_number in range(rounds + 1):
        making.append(_seconds_to_make(objective, config, round_number))
        for candidate in group:
            known = times.get(candidate, [])
            if known and max(known) > LONG_STEP_SECONDS:
                continue
            seconds = step(candidate.precision, candidate.threads, round_number)
            if round_number or (seconds > LONG_STEP_SECONDS and not candidate.is_compiled):
                times.setdefault(candidate, []).append(seconds)
    share = made_anew * statistics.median(making)
    return {candidate: statistics.median(known) + share for candidate, known in times.items()}


def _seconds_to_make(objective: Objective, config: TrainConfig, number: int) -> float:
    """Make the data of a step for the first time, which a run seldom does, and return how long that took."""
    started = time.perf_counter()
    objective.batch(number * config.batch_size, config.batch_size)
    return time.perf_counter() - started


def _stepper(
    objective: Objective, config: TrainConfig, device: torch.device, is_compiled: bool, precisions: list[Precision]
) -> Callable[[Precision, int, int], float]:
    """Return a function that makes one whole training step on a copy of the model and says how long it took."""
    resting: list[torch.Tensor] = [p for p in objective.model.parameters() if not p.requires_grad]
    if resting:
        resting += list(objective.model.buffers())
    model = copy.deepcopy(objective.model, {id(one): one for one in resting}).to(device).train()  # what rests is shared
    optimizers = {
        precision: build_optimizers(model, dataclasses.replace(config, precision=precision)) for precision in precisions
    }
    if is_compiled:
        model.compile()

    def step(precision: Precision, threads: int, number: int) -> float:
        torch.set_num_threads(threads)
        started = time.perf_counter()
        batch = objective.batch(number * config.batch_size, config.batch_size // config.accumulate)
        for _ in range(config.accumulate):
            with autocast(precision, device):
                loss = objective.loss(model, batch)
            loss.backward()
        loss.item()
        for optimizer in optimizers[precision]:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    return step
