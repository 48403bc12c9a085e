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

import torch

from cutaway.base.objective import Objective
from cutaway.train.config import Precision, TrainConfig
from cutaway.train.optimizers import build_optimizers
from cutaway.train.trainer import autocast

COMPILE_PAYS_FROM_SECONDS = 600.0
"""Compilation takes half a minute when its cache is cold and gains a tenth at most: not tried in shorter runs."""


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
    objective: Objective, config: TrainConfig, device: torch.device, run_seconds: float | None = None, rounds: int = 4
) -> Pace:
    """Time the candidates the config leaves open and return the fastest.

    Args:
        run_seconds: how long the run will be, if known; compilation is tried only when that is long.
        rounds: timed steps of each candidate, after one to warm up.
    """
    cores = usable_cores()
    on_cpu = device.type == "cpu"
    threads = [config.threads] if config.threads else sorted({1, cores}) if on_cpu else [torch.get_num_threads()]
    precisions: list[Precision] = ["float32", "bfloat16"] if config.precision == "auto" else [config.precision]
    compiles = [config.compile == "on"]
    if config.compile == "auto" and run_seconds is not None and run_seconds >= COMPILE_PAYS_FROM_SECONDS:
        compiles = [False, True]
    candidates: dict[tuple[Precision, int, bool], list[float]] = {}
    threads_before = torch.get_num_threads()
    try:
        for is_compiled in compiles:
            step = _stepper(objective, config, device, is_compiled, precisions)
            group = [(precision, n, is_compiled) for precision in precisions for n in threads]
            for round_number in range(rounds + 1):
                for candidate in group:
                    seconds = step(candidate[0], candidate[1], round_number)
                    if round_number:
                        candidates.setdefault(candidate, []).append(seconds)
    finally:
        torch.set_num_threads(threads_before)
    medians = {candidate: statistics.median(times) for candidate, times in candidates.items()}
    best = min(medians, key=lambda candidate: medians[candidate])
    return Pace(*best, medians[best], {_describe(*candidate): seconds for candidate, seconds in medians.items()})


def _stepper(
    objective: Objective, config: TrainConfig, device: torch.device, is_compiled: bool, precisions: list[Precision]
) -> Callable[[Precision, int, int], float]:
    """Return a function that makes one whole training step on a copy of the model and says how long it took."""
    model = copy.deepcopy(objective.model).to(device).train()
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
