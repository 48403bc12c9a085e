"""Ablation and patching of any recorded model: edit numbers of its trace and let the microscope compute what follows.

    clean, corrupted = cutaway.trace(model, clean_tokens), cutaway.trace(model, corrupted_tokens)
    every_position(corrupted, "transformer.h.3:out")              [("transformer.h.3:out", (None, 0, None)), ...]
    patched(clean, corrupted, places, answer=17, other=4)         a logit difference for each place, patched alone
    ablated(corrupted, [("model.layers.2.mlp:out", None)], answer=17)

A place is an address and an index, in which None stands for all of an axis; an index left out (None) for the whole
tensor. Slower than `patch.py` and `ablate.py`, one replay for each patch, but it knows nothing of any model: the two are
checked against each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.lens.answer import find_position
from cutaway.microscope.trace import Trace

Place = tuple[str, tuple[int | None, ...] | None]
LOGITS = ("logits", "output.logits", "lm_head:out")
"""Where models have what they say; the first that is there is meant."""


def every_position(trace: Trace, address: str, axis: int = 1) -> list[Place]:
    """Return a place for each position of a tensor.

    Args:
        axis: the tensor's axis of positions.

    Raises:
        UsageError: it has no such axis.
    """
    shape = trace.place(address).shape
    if not -len(shape) <= axis < len(shape):
        raise UsageError(f"{address} has shape {list(shape)} and no axis {axis}")
    axis %= len(shape)
    return [(address, tuple(t if i == axis else None for i in range(len(shape)))) for t in range(shape[axis])]


def patched(
    clean: Trace,
    corrupted: Trace,
    places: Sequence[Place],
    answer: int,
    other: int | None = None,
    position: int = -1,
    logits: str | None = None,
) -> Float[Tensor, " N"]:
    """Return the answer's logit, or difference of logits, with the clean numbers at each place, one place at a time.

    Args:
        logits: the address of what the model says, positions x tokens or 1 x positions x tokens.

    Raises:
        UsageError: the recordings differ in shape, or lack an address.
    """
    found = []
    for address, index in places:
        if clean.place(address).shape != corrupted.place(address).shape:
            shapes = [list(trace.place(address).shape) for trace in (clean, corrupted)]
            raise UsageError(f"{address} has shape {shapes[0]} in the clean recording and {shapes[1]} in the other")
        numbers = part_of(clean[address], index)
        found.append(_asked(corrupted.replay(_edit(address, index, numbers)), answer, other, position, logits))
    return torch.tensor(found, dtype=torch.float64)


def ablated(
    trace: Trace,
    places: Sequence[Place],
    answer: int,
    other: int | None = None,
    position: int = -1,
    logits: str | None = None,
    by: str = "zero",
    axis: int = 1,
) -> float:
    """Return the answer's logit, or difference of logits, without all these places.

    Args:
        by: `zero`, or `mean`: of the place's numbers over the positions.
        axis: the axis of positions, for the mean.
    """
    edits: dict[object, object] = {}
    for address, index in places:
        if by == "zero":
            edits |= _edit(address, index, torch.zeros(()))
        elif by == "mean":
            tensor = trace[address]
            edits |= _edit(address, index, part_of(tensor.mean(axis, keepdim=True).expand_as(tensor), index))
        else:
            raise UsageError(f"by is {by!r}; expected zero or mean")
    return _asked(trace.replay(edits), answer, other, position, logits)


def part_of(tensor: Tensor, index: tuple[int | None, ...] | None) -> Tensor:
    """Return what an index stands for."""
    return tensor if index is None else tensor[tuple(slice(None) if i is None else i for i in index)]


def _edit(address: str, index: tuple[int | None, ...] | None, numbers: Tensor) -> dict[object, object]:
    if index is None:
        return {address: numbers if numbers.ndim else numbers.item()}
    return {(address, index): numbers}


def _asked(trace: Trace, answer: int, other: int | None, position: int, logits: str | None) -> float:
    address = logits or next((name for name in LOGITS if name in trace), None)
    if address is None:
        raise UsageError(f"this trace has none of {', '.join(LOGITS)}; say with logits= where the model's answer is")
    said = trace[address]
    said_TV = said.reshape(said.shape[-2:]) if said.ndim > 1 else said[None]
    row = said_TV[find_position(position, len(said_TV))].double()
    return float(row[answer] - (0 if other is None else row[other]))
