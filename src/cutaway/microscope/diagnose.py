"""What looks wrong in a recorded step, each finding at an address one can open.

    non-finite   the first infinite or undefined number, and what it was made from
    gradients    parameters without any, and sizes that grow or shrink by a thousand from block to block
    dead         ReLU units that are zero for every input of the batch
    saturated    rows of a softmax that put all on one place: hardly a gradient passes them

Thresholds are the named numbers below; each finding says what was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from cutaway.microscope.record import Index, Operation, Place, is_empty
from cutaway.microscope.trace import Trace

EXPLODES_BY, VANISHES_BY = 1e3, 1e-3
SATURATED_FROM, SATURATED_SHARE = 0.999, 0.5
DEAD_SHARE = 0.1
MASKED = -1e30
"""Scores below this are masked."""
WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32}
"""In which the sum of finite numbers stays finite, mostly; where it does not, one looks closely."""
FILLS = ("full", "fill", "masked_fill", "where", "scalar_tensor", "new_full", "triu", "tril", "constant_pad")
"""Operations that put a minus infinity somewhere on purpose: masks."""


@dataclass(frozen=True)
class Finding:
    """Something to look at."""

    kind: str
    address: str
    index: Index
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.address}{list(self.index) if self.index else ''}: {self.message}"


def diagnose(trace: Trace) -> list[Finding]:
    """Return what looks wrong, the gravest first."""
    return [
        *non_finite(trace),
        *missing_gradients(trace),
        *gradient_sizes(trace),
        *dead_units(trace),
        *saturated_rows(trace),
    ]


def non_finite(trace: Trace) -> Iterator[Finding]:
    """Find the first number that is infinite or undefined although what it was made from is not."""
    for address, place in trace.names.sources():
        for index in strange(trace, place, minus_too=False):
            yield Finding("non-finite", address, index, "was there before the step")
            return
    for operation, place, _ in computed(trace):
        if is_finite(trace, place):
            continue
        operands = [p for _, p in operation.operands() if p.numel]
        fills = not operands or operation.name.startswith(FILLS)
        minus_too = not fills and not any(True for p in operands for _ in strange(trace, p, minus_too=True))
        for index in strange(trace, place, minus_too):
            if any(True for p in operands for _ in strange(trace, p, minus_too=False)):
                continue
            made_of = ", ".join(f"{trace.names.of(p, (0,) * len(p.shape))[0]} ({extremes(trace, p)})" for p in operands)
            yield Finding(
                "non-finite",
                trace.names.of(place, index)[0],
                index,
                f"the first number that is {trace.memory.read(place)[index].item()}, made by {operation.name} from "
                f"{made_of or 'nothing'} in {operation.module or 'the model'} ({operation.source})",
            )
            return


def is_finite(trace: Trace, place: Place) -> bool:
    """Return whether a tensor surely has no infinite or undefined number, in one quick pass: a sum would have it too."""
    values = trace.memory.read(place)
    return not values.dtype.is_floating_point or bool(values.sum(dtype=WIDER.get(values.dtype)).isfinite())


def strange(trace: Trace, place: Place, minus_too: bool) -> Iterator[Index]:
    """Yield the first index of a number that is undefined or infinite.

    Args:
        minus_too: minus infinity counts as well; it does not where it may be a mask.
    """
    values = trace.memory.read(place)
    if values.dtype.is_floating_point and not is_finite(trace, place):
        wrong = ~values.isfinite()
        if not minus_too:
            wrong &= values != -torch.inf
        if wrong.any():
            yield tuple(int(i) for i in wrong.nonzero()[0])


def extremes(trace: Trace, place: Place) -> str:
    """Return the smallest and largest number of a tensor."""
    values = trace.memory.read(place)
    return f"{values.min().item():.3g} to {values.max().item():.3g}"


def missing_gradients(trace: Trace) -> Iterator[Finding]:
    """Find parameters that a backward pass left without a gradient, or with nothing but zeros."""
    if not any(operation.phase == "backward" for operation in trace.operations):
        return
    for name in trace.names.parameters():
        place = trace.names.places.get(f"{name}:grad")
        if place is None:
            yield Finding("no gradient", name, (), "the loss does not depend on this parameter")
        elif not trace.memory.read(place).any():
            yield Finding("zero gradient", f"{name}:grad", (), "every number of this gradient is zero")


def gradient_sizes(trace: Trace) -> Iterator[Finding]:
    """Find blocks whose gradient is a thousand times larger or smaller than that of the block after them."""
    sizes: dict[str, list[tuple[int, float, str]]] = {}
    for address, place in trace.names.places.items():
        found = re.fullmatch(r"(?:(.*)\.)?(\d+):out:grad", address)
        if found and place.numel:
            norm = float(trace.memory.read(place).double().square().mean().sqrt())
            sizes.setdefault(found[1] or "", []).append((int(found[2]), norm, address))
    for blocks in sizes.values():
        blocks.sort()
        (_, after, last) = blocks[-1]
        for _, size, address in blocks[:-1]:
            if after > 0 and size > EXPLODES_BY * after:
                yield Finding("exploding", address, (), f"size {size:.3g}, {size / after:.3g} times that of {last}")
            elif size < VANISHES_BY * after:
                yield Finding("vanishing", address, (), f"size {size:.3g}, {size / after:.3g} of that of {last}")


def dead_units(trace: Trace) -> Iterator[Finding]:
    """Find ReLUs many of whose units are zero for the whole batch."""
    for operation, place, address in computed(trace):
        if operation.name.rstrip("_") != "relu" or len(place.shape) < 2:
            continue
        values = trace.memory.read(place)
        axis = 1 if values.ndim > 3 else values.ndim - 1  # channels of pictures, else the last axis
        dead = (values == 0).all(dim=[i for i in range(values.ndim) if i != axis])
        if float(dead.float().mean()) >= DEAD_SHARE:
            first = int(dead.nonzero()[0])
            index = tuple(first if i == axis else 0 for i in range(values.ndim))
            yield Finding("dead", address, index, f"{int(dead.sum())} of {dead.numel()} units are 0 for every input")


def saturated_rows(trace: Trace) -> Iterator[Finding]:
    """Find softmaxes most of whose rows put everything on one place."""
    for operation, place, address in computed(trace):
        if (
            "softmax" not in operation.name
            or "log" in operation.name
            or operation.phase != "forward"
            or not place.numel
        ):
            continue
        values = trace.memory.read(place)
        rows = values.amax(dim=-1)
        scores = trace.memory.read(next(place for _, place in operation.operands()))
        free = (scores > MASKED).sum(dim=-1) > 1  # a first position can only look at itself
        full = (rows >= SATURATED_FROM) & free
        if free.any() and float(full.sum() / free.sum()) >= SATURATED_SHARE:
            index = (*(int(i) for i in full.nonzero()[0]), 0)
            yield Finding(
                "saturated", address, index, f"{int(full.sum())} of {int(free.sum())} rows put 99.9 % on one place"
            )


def computed(trace: Trace) -> Iterator[tuple[Operation, Place, str]]:
    """Yield every result that was computed, with its address."""
    for operation in trace.operations:
        if not operation.is_view and not is_empty(operation.name):
            for which, place in operation.outputs():
                yield operation, place, trace.names.results[operation.number, which]
