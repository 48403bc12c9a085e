"""How two traces differ: a recording and its replay, two checkpoints, two models.

Tensors are compared by address: those that both have, in the same shape. Of a replay only what ran again is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cutaway.microscope.record import Index
from cutaway.microscope.trace import Trace

AT_ONCE = 1 << 20
"""Numbers compared at a time."""


@dataclass(frozen=True)
class Moved:
    """A tensor that is not the same in two traces."""

    address: str
    largest: float
    """The largest change of a number in it; infinite where a number became, or was, infinite or undefined."""
    index: Index
    """Where."""
    mean: float = 0.0
    """The mean size of the changes, those of 0 included."""
    changed: int = 0
    """How many numbers changed."""
    scale: float = 0.0
    """The largest finite number before, signs left out: what the change may be compared with."""


@dataclass
class Differences:
    """All that differs between two traces."""

    moved: list[Moved]
    """The largest change first."""
    same: int = 0
    """How many tensors are the same."""
    only_before: list[str] = field(default_factory=list)
    only_after: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    """In both, but of another shape: not compared."""


def diff(before: Trace, after: Trace) -> list[Moved]:
    """Return every tensor that differs between two traces of one program, the largest change first."""
    return compare(before, after).moved


def compare(
    before: Trace,
    after: Trace,
    progress: Callable[[float], None] = lambda share: None,
    wanted: Callable[[str], bool] = lambda address: True,
) -> Differences:
    """Return how two traces differ.

    Args:
        wanted: which addresses to compare.
        progress: told how much is done, 0 to 1.
    """
    found = Differences([])
    theirs = after.names.places
    mine = before.names.places
    found.only_before = [address for address in mine if address not in theirs]
    found.only_after = [address for address in theirs if address not in mine]
    done, whole = 0, sum(place.numel for place in mine.values()) or 1
    for address, place in mine.items():
        other = theirs.get(address)
        done += place.numel
        if other is None or not wanted(address):
            continue
        if other.shape != place.shape:
            found.reshaped.append(address)
            continue
        if other == place and before.memory.cells[place.storage] is after.memory.cells[place.storage]:
            found.same += 1
            continue
        one = moved(address, before.memory.read(place), after.memory.read(other))
        if one is None:
            found.same += 1
        else:
            found.moved.append(one)
        progress(done / whole)
    found.moved.sort(key=lambda one: -one.largest)
    return found


def moved(address: str, old: Tensor, new: Tensor) -> Moved | None:
    """Return how a tensor differs from another, None if it does not."""
    largest, where, total, changed, scale = 0.0, 0, 0.0, 0, 0.0
    flat_old, flat_new = old.reshape(-1), new.reshape(-1)
    for first in range(0, flat_old.numel(), AT_ONCE):
        a, b = flat_old[first : first + AT_ONCE], flat_new[first : first + AT_ONCE]
        if torch.equal(a, b):
            continue
        change = sizes(a, b)
        top = change.max()
        changed += int(change.count_nonzero())
        total += float(change.sum(dtype=torch.float64))
        if float(top) > largest:
            largest, where = float(top), first + int(change.argmax())
    if not changed:
        return None
    for first in range(0, flat_old.numel(), AT_ONCE):
        numbers = flat_old[first : first + AT_ONCE].abs().nan_to_num(0.0, 0.0, 0.0)
        scale = max(scale, float(numbers.max()))
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(where), old.shape))
    if largest != torch.inf:
        wide = torch.complex128 if old.is_complex() else torch.float64
        largest = float((new[index].to(wide) - old[index].to(wide)).abs())
    return Moved(address, largest, index, total / old.numel(), changed, scale)


def sizes(a: Tensor, b: Tensor) -> Tensor:
    """Return the size of each change; two that are undefined, or infinite alike, do not differ."""
    if a.dtype is torch.float32 and b.dtype is torch.float32:
        change = (b - a).abs_()  # rounded, which neither zero nor the order of sizes suffers from
        if change.max() < torch.inf:
            return change
    wide = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    differs = a != b
    if a.is_floating_point() and b.is_floating_point():
        differs &= ~(a.isnan() & b.isnan())
    return torch.where(differs, (b.to(wide) - a.to(wide)).abs().nan_to_num(torch.inf), 0.0)
