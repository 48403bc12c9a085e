"""Who used a number: every later operation that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cutaway.microscope.record import Index, Operation, Place, is_empty
from cutaway.microscope.trace import Trace


@dataclass(frozen=True)
class Use:
    """An operation that reads a number, and the numbers of one of its results that depend on it."""

    operation: int
    name: str
    phase: str
    module: str
    argument: str
    """By which name it reads it: self, mat2, tensors.3."""
    address: str
    """Of the result."""
    first: list[Index]
    """The indices there that depend on it, the first ones."""
    count: int | None
    """How many depend on it; None: the operation has no formula, nobody knows which."""


class Readers:
    """Which operations read which storage."""

    def __init__(self, trace: Trace) -> None:
        self.of: dict[int, list[tuple[Operation, str, Place]]] = {}
        for operation in trace.operations:
            if not operation.is_view and not is_empty(operation.name):
                for name, place in operation.operands():
                    if place.numel:
                        self.of.setdefault(place.storage, []).append((operation, name, place))


def readings(
    trace: Trace, readers: Readers, place: Place, index: Index
) -> Iterator[tuple[Operation, str, Place, Index]]:
    """Yield every operation that reads a number: by which argument, and the index there."""
    made = trace.memory.maker(place, index)
    position = place.position(index)
    for operation, name, read in readers.of.get(place.storage, ()):
        inside = read.index_of(position) if read.dtype == place.dtype else None
        if inside is None:
            continue
        maker = trace.memory.maker(read, inside)
        if (maker and maker[:2]) == (made and made[:2]):
            yield operation, name, read, inside


MOST = 20


def used_by(
    trace: Trace, address: str, index: Index = (), most: int = MOST, readers: Readers | None = None
) -> list[Use]:
    """Return every later operation that reads a number, with the numbers of its results that depend on it.

    Args:
        most: how many indices to list of each.
        readers: made before for this trace or the one it replays.
    """
    place, index = trace.check_index(address, index)
    found = []
    for operation, name, _, _ in readings(trace, readers or Readers(trace), place, index):
        for which, _ in operation.outputs():
            result = trace.names.results[operation.number, which]
            found.append(
                Use(operation.number, operation.name, operation.phase, operation.module, name, result, [], None)
            )
    return found
