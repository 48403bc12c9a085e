"""Whether a tuning fits into this machine's memory and, where it does not, which settings make it fit.

Changes are tried in the order of what they cost: a smaller part of the batch at a time (same result, same time), gradient
checkpointing (same result, a third more time), corrections in place of all weights, a base in 4 bits, shorter examples.
Of those that do not help to fit, none is kept. Importing this loads nothing heavy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cutaway.base.memory import resident_bytes
from cutaway.tune.memory import Tuning, TuningMemory, count_tuning

SHORTEST = 128
"""Tokens; examples are not made shorter than this to fit."""
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Change:
    """Other settings that take less memory."""

    setting: str
    """As typed."""
    cost: str
    """What one pays for it, in a few words."""
    apply: Callable[[Tuning], Tuning]


@dataclass(frozen=True)
class Step:
    """One of the changes that together make it fit."""

    change: Change
    saves_bytes: int
    """Beside the changes before it."""


@dataclass(frozen=True)
class Fit:
    """What a tuning takes, what there is, and what to change."""

    needed: TuningMemory
    free_bytes: int
    steps: tuple[Step, ...] = ()
    """Empty where it fits as it is."""
    then_bytes: int = 0
    """What it takes with all of them."""

    @property
    def fits(self) -> bool:
        """Whether it fits as it is."""
        return self.needed.total <= self.free_bytes

    def describe(self) -> str:
        """Return the parts in one line."""
        parts = ("weights", "gradients", "optimizer", "activations", "logits")
        named = ", ".join(f"{part} {said(getattr(self.needed, part))}" for part in parts)
        return f"memory: about {said(self.needed.total)} of {said(self.free_bytes)} free ({named})"

    def advice(self) -> str:
        """Return what to change, in one line."""
        named = " ".join(
            f"{step.change.setting} (saves {said(step.saves_bytes)}; {step.change.cost})" for step in self.steps
        )
        if self.then_bytes <= self.free_bytes:
            return f"{named} makes it {said(self.then_bytes)}"
        return f"even {named or 'the smallest settings'} would take {said(self.then_bytes)}: take a smaller base"


def fit(tuning: Tuning, free_bytes: int) -> Fit:
    """Return whether a tuning fits, and the cheapest changes that make it fit."""
    needed = count_tuning(tuning)
    if needed.total <= free_bytes:
        return Fit(needed, free_bytes, (), needed.total)
    return smaller(tuning, free_bytes)


def smaller(tuning: Tuning, free_bytes: int) -> Fit:
    """Return the changes that bring a tuning under this many bytes, or as far as they go."""
    chosen: list[Change] = []
    now = tuning
    for change in changes(tuning, free_bytes):
        if count_tuning(now).total <= free_bytes:
            break
        memory, then = count_tuning(now), count_tuning(change.apply(now))
        if memory.total - then.total > 0.01 * (memory.total - memory.process):
            chosen.append(change)
            now = change.apply(now)
    for change in list(chosen):  # what came first may have become needless
        without = [one for one in chosen if one is not change]
        if count_tuning(_applied(tuning, without)).total <= free_bytes:
            chosen = without
    steps = []
    now = tuning
    for change in chosen:
        after = change.apply(now)
        steps.append(Step(change, count_tuning(now).total - count_tuning(after).total))
        now = after
    return Fit(count_tuning(tuning), free_bytes, tuple(steps), count_tuning(now).total)


def changes(tuning: Tuning, free_bytes: int) -> Iterator[Change]:
    """Yield the changes there are, the cheapest first."""
    tune, train = tuning.tune, tuning.train
    parts = [n for n in range(train.accumulate + 1, train.batch_size + 1) if train.batch_size % n == 0]
    enough = (n for n in parts if count_tuning(_accumulated(tuning, n)).total <= free_bytes)
    if parts:
        n = next(enough, parts[-1])
        yield Change(f"--train.accumulate {n}", "same result", lambda now: _accumulated(now, n))
    if not tune.checkpointing:
        yield Change("--tune.checkpointing", "a third more time", lambda now: _tuned(now, checkpointing=True))
    if tune.method == "full":
        yield Change(
            "--method lora", "small corrections learn, not all weights", lambda now: _tuned(now, method="lora")
        )
    if tune.method != "lora4":
        yield Change("--method lora4", "weights rounded to 4 bits", lambda now: _tuned(now, method="lora4"))
    length = min(tuning.n_tokens, tune.context_length or tuning.n_tokens)
    while length // 2 >= SHORTEST:
        length //= 2
        words = f"--tune.context-length {length} --tune.too-long skip"
        yield Change(words, "longer pairs are left out", lambda now, n=length: _tuned(now, context_length=n))  # type: ignore[misc]


def _accumulated(tuning: Tuning, parts: int) -> Tuning:
    return dataclasses.replace(tuning, train=dataclasses.replace(tuning.train, accumulate=parts))


def _tuned(tuning: Tuning, **settings: object) -> Tuning:
    return dataclasses.replace(tuning, tune=dataclasses.replace(tuning.tune, **settings))  # type: ignore[arg-type]


def _applied(tuning: Tuning, chosen: list[Change]) -> Tuning:
    for change in chosen:
        tuning = change.apply(tuning)
    return tuning


def free_memory(device: str = "cpu") -> int:
    """Return the bytes this process may take in all: what it has, and what the machine or its container still gives."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    import psutil

    available = int(psutil.virtual_memory().available)
    try:
        most = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        cached = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines()).get(
            "inactive_file", 0
        )
        available = min(available, most - used + int(cached))
    except (OSError, ValueError):  # no container, or no limit: "max"
        pass
    return max(0, available) + resident_bytes()


def said(n_bytes: int) -> str:
    """Return a size as people say it."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
