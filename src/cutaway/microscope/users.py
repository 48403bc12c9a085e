"""Who used a number: every later operation that reads it, and which numbers of its results depend on it.

An operation reads a number when it reads the memory it lies in, through views too, before somebody overwrites it. Which
numbers of a result depend on it, the formula's index maps say, read backwards: `dependence`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cutaway.microscope.dependence import Cells, Group, dependents
from cutaway.microscope.formula import lookup
from cutaway.microscope.record import Index, Operation, Place, is_empty
from cutaway.microscope.trace import Trace

MOST = 20
"""Indices listed of each result unless more are asked for."""


@dataclass(frozen=True)
class Use:
    """An operation that reads a number, and the numbers of one of its results that depend on it."""

    operation: int
    name: str
    phase: str
    module: str
    argument: str
    """By which name it reads it: self, mat2, tensors.3; of several `self, other`."""
    address: str
    """Of the result."""
    first: list[Index]
    """The indices there that depend on it, the first ones."""
    count: int | None
    """How many depend on it; None: nobody knows which, the operation has no formula."""

    def __str__(self) -> str:
        many = "nobody knows which" if self.count is None else f"{self.count:,}"
        first = f", the first {self.address}{list(self.first[0])}" if self.first else ""
        where = f"{self.phase}: {self.name} in {self.module or 'the model'} as {self.argument}"
        return f"{where}: {many} of {self.address}{first}"


class Readers:
    """Which operations read which storage."""

    def __init__(self, trace: Trace) -> None:
        self.of: dict[int, list[tuple[Operation, str, Place]]] = {}
        for operation in trace.operations:
            if not operation.is_view and not is_empty(operation.name):
                for name, place in operation.operands():
                    if place.numel:
                        self.of.setdefault(place.storage, []).append((operation, name, place))


def used_by(trace: Trace, address: str, index: Any = (), most: int = MOST, readers: Readers | None = None) -> list[Use]:
    """Return every later operation that reads a number, with the numbers of its results that depend on it.

    Args:
        most: how many indices to list of each.
        readers: made before, for this trace or the one it replays.

    Raises:
        UsageError: no such address, or no number at that index.
    """
    place, index = trace.check_index(address, index)
    reading: dict[int, list[tuple[str, list[Group]]]] = {}
    for operation, name, found in readings(trace, readers or Readers(trace), place, index):
        reading.setdefault(operation.number, []).append((name, found))
    uses = []
    for number, arguments in reading.items():
        operation = trace.operations[number]
        for which, cells in results(trace, operation, arguments):
            if cells is not None and not cells.count:
                continue
            made = next(result for n, result in operation.outputs() if n == which)
            first = [] if cells is None else [trace.names.of(made, one)[1] for one in cells.first(most)]
            uses.append(
                Use(
                    number,
                    operation.name,
                    operation.phase,
                    operation.module,
                    ", ".join(name for name, _ in arguments),
                    trace.names.results[number, which],
                    first,
                    None if cells is None else cells.count,
                )
            )
    return uses


def readings(
    trace: Trace, readers: Readers, place: Place, index: Index
) -> Iterator[tuple[Operation, str, list[Group]]]:
    """Yield every operation that reads a number: by which argument, and where in it."""
    made = trace.memory.maker(place, index)
    position = place.position(index)
    for operation, name, read in readers.of.get(place.storage, ()):
        if read.dtype != place.dtype:
            continue
        first, end = read.extent
        if not first <= position < end:
            continue
        found = where_in(read, position)
        if found is None:
            continue
        inside = [0] * len(read.shape)
        for group in found:
            for axis, coordinates in zip(group.axes, group.places, strict=True):
                inside[axis] = int(coordinates[0])
        maker = trace.memory.maker(read, tuple(inside))
        if (maker and maker[:2]) == (made and made[:2]):
            yield operation, name, found


def where_in(place: Place, position: int) -> list[Group] | None:
    """Return at which indices of a tensor the number at a position of the storage stands, None if at none.

    It stands at several where an axis repeats one number (`expand`) or windows overlap (`as_strided`).
    """
    steps = [(axis, size, step) for axis, (size, step) in enumerate(zip(place.shape, place.stride, strict=True))]
    moving = sorted(((step, size, axis) for axis, size, step in steps if step and size > 1), reverse=True)
    reach = 1
    for step, size, _ in reversed(moving):
        if step < reach:  # windows overlap
            grid = np.indices([size for _, size, _ in moving])
            at = place.offset + sum(step * grid[n] for n, (step, _, _) in enumerate(moving))
            found = np.nonzero(at == position)
            return [Group(tuple(axis for _, _, axis in moving), tuple(found))] if found[0].size else None
        reach = step * (size - 1) + reach
    left, groups = position - place.offset, []
    for step, size, axis in moving:
        at_axis = min(left // step, size - 1)
        left -= at_axis * step
        groups.append(Group((axis,), (np.array([at_axis]),)))
    return None if left else groups


def results(
    trace: Trace, operation: Operation, arguments: list[tuple[str, list[Group]]]
) -> Iterator[tuple[int, Cells | None]]:
    """Yield the results of an operation with the numbers of each that depend on some of its operands' numbers."""
    formula = lookup(operation.name) if operation.has_formula_kinds else None
    outputs = [(which, place) for which, place in operation.outputs() if place.numel]
    if formula is None:
        yield from ((which, None) for which, _ in outputs)
        return
    bound = formula.bind(*trace.bind(operation))
    with np.errstate(all="ignore"):
        found = dependents(bound, dict(arguments))
        for which, _ in outputs:
            if bound.kind(which) == "computed":
                yield which, found(which)
