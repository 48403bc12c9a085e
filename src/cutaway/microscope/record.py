"""What a recording is made of: tensors as places in memory, memory with all its versions, operations.

A tensor is a *place*: a storage, which version of it, and which of its numbers in which order (shape, strides,
offset). Views are places in the same storage and hold no numbers. An operation that writes in place makes a new
version; what it overwrote is kept, so every version can be read for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cutaway.base.errors import TraceError

Index = tuple[int, ...]


class Place(NamedTuple):
    """Where a tensor's numbers are."""

    storage: int
    """Which storage of the recording's memory."""
    version: int
    """How often it had been written to."""
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def position(self, index: Index) -> int:
        """Return where in the storage the number with this index is."""
        return self.offset + sum(i * s for i, s in zip(index, self.stride, strict=True))

    def index_of(self, position: int) -> Index | None:
        """Return the index of the number at a position of the storage, or None if it is not part of this tensor."""
        left = position - self.offset
        index = [0] * len(self.shape)
        if left < 0 or 0 in self.shape:
            return None
        for axis in sorted(range(len(self.shape)), key=lambda axis: -self.stride[axis]):
            if self.stride[axis] and self.shape[axis] > 1:
                index[axis] = min(left // self.stride[axis], self.shape[axis] - 1)
                left -= index[axis] * self.stride[axis]
        return None if left else tuple(index)

    def look(self, storage: torch.UntypedStorage) -> Tensor:
        """Return the tensor at this place of a storage."""
        empty = torch.empty(0, dtype=self.dtype, device=storage.device)
        return empty.set_(storage, self.offset, self.shape, self.stride)

    @property
    def extent(self) -> tuple[int, int]:
        """Its first and last position in the storage, the last not included."""
        if 0 in self.shape:
            return self.offset, self.offset
        return self.offset, self.position(tuple(size - 1 for size in self.shape)) + 1

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        n = 1
        for size in self.shape:
            n *= size
        return n


class Unseen:
    """A tensor without strides (sparse, nested): its numbers are not recorded, only what it was."""

    def __init__(self, tensor: Tensor | str) -> None:
        self.said = tensor if isinstance(tensor, str) else f"{tensor.layout} tensor of shape {tuple(tensor.shape)}"

    def __repr__(self) -> str:
        return self.said


class Write:
    """An overwriting: what was there before.

    Args:
        place: what was written to.
        before: its numbers before the write, or how to compute them when somebody asks.
        operation: the number of the operation that wrote.
    """

    __slots__ = ("_before", "operation", "place")

    def __init__(self, place: Place, before: Tensor | Callable[[], Tensor], operation: int) -> None:
        self.place, self._before, self.operation = place, before, operation

    @property
    def before(self) -> Tensor:
        """The numbers of `place` before the write."""
        self._before = self.computed()
        return self._before

    def computed(self) -> Tensor:
        """Return the same; what has to be computed for it is not kept."""
        return self._before if isinstance(self._before, Tensor) else self._before()

    @property
    def size_bytes(self) -> int:
        """What is held."""
        return self._before.nbytes if isinstance(self._before, Tensor) else 0

    def look(self, place: Place) -> Tensor | None:
        """Return a tensor from what was there before the write, or None if that does not hold all of it."""
        mine = self.place
        if mine[2:] == place[2:]:
            return self.before
        first, end = mine.extent
        begins, ends = place.extent
        is_dense = end - first == mine.numel and self.before.stride() == mine.stride
        if not is_dense or mine.dtype != place.dtype or not first <= begins <= ends <= end:
            return None
        moved = place._replace(offset=place.offset - first + int(self.before.storage_offset()))
        return moved.look(self.before.untyped_storage())

    def touches(self, place: Place) -> bool:
        """Whether the write may have changed a number of a tensor."""
        (first, end), (begins, ends) = self.place.extent, place.extent
        mine, its = self.place.dtype.itemsize, place.dtype.itemsize
        return first * mine < ends * its and begins * its < end * mine


@dataclass(slots=True)
class Cell:
    """One storage and what happened to it."""

    storage: torch.UntypedStorage
    is_source: bool
    """Whether it was there before the recording made anything in it."""
    writes: list[Write] = field(default_factory=list)
    makers: list[tuple[Place, int, int]] = field(default_factory=list)
    """Results computed into it: the place, the operation's number, which of its results."""
    guards: list[tuple[Tensor, int]] = field(default_factory=list)
    """Tensors of the user's program in this storage, each with its version counter when the recording ended."""

    def last(self) -> torch.UntypedStorage:
        """Return the storage as it was when the recording ended.

        Raises:
            TraceError: the program has changed it since.
        """
        if any(holder._version != version for holder, version in self.guards):
            raise TraceError(
                "these numbers were changed after the recording (training went on?); ask a trace before that, or record "
                "with keep=True, which copies weights, gradients and optimizer state"
            )
        return self.storage


class Memory:
    """All storages a recording saw."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.origin: Memory | None = None  # the recording's, if this is a replay's, which shares what did not change

    def read(self, place: Place) -> Tensor:
        """Return the tensor at a place, as it was at that version; not to be written to."""
        return self.read_cell(self.cells[place.storage], place)

    @classmethod
    def read_cell(cls, cell: Cell, place: Place) -> Tensor:
        """Return the tensor at a place of one storage."""
        for write in cell.writes[place.version :]:
            found = write.look(place)
            if found is not None:
                return found
            if write.touches(place):
                return place.look(cls.contents_of(cell, place.version))
        return place.look(cell.last())

    def contents(self, number: int, version: int) -> torch.UntypedStorage:
        """Return a storage as it was at a version (a copy unless it is the last)."""
        return self.contents_of(self.cells[number], version)

    @staticmethod
    def contents_of(cell: Cell, version: int) -> torch.UntypedStorage:
        """Return a storage as it was at a version (a copy unless it is the last)."""
        storage = cell.last()
        if version < len(cell.writes):
            storage = storage.clone()
            for write in reversed(cell.writes[version:]):
                write.place.look(storage).copy_(write.before)
        return storage

    def now(self, place: Place) -> Place:
        """Return the same place at the last version."""
        return place._replace(version=len(self.cells[place.storage].writes))

    def maker(self, place: Place, index: Index) -> tuple[int, int, Index] | None:
        """Return which operation computed a number: its number, which of its results, the index there.

        None: nobody did; it was there before the recording.
        """
        position = place.position(index)
        for made, operation, which in reversed(self.cells[place.storage].makers):
            if made.version <= place.version and made.dtype == place.dtype:
                found = made.index_of(position)
                if found is not None:
                    return operation, which, found
        return None

    def note_makers(self, operation: Operation) -> bool:
        """Note which numbers an operation computed; return whether it computed none and only looked (a view)."""
        read = {place.storage for value in operation.args.values() for place in places_in(value)}
        read -= {place.storage for name in operation.writes for place in places_in(operation.args.get(name))}
        outputs = list(operation.outputs())
        made = [(place, operation.number, which) for which, place in outputs if place.storage not in read]
        if not is_empty(operation.name):
            for one in made:
                self.cells[one[0].storage].makers.append(one)
        return bool(outputs) and not made

    @property
    def size_bytes(self) -> int:
        """What the recording holds: every storage and everything that was overwritten."""
        held = sum(cell.storage.nbytes() for cell in self.cells)
        return held + sum(write.size_bytes for cell in self.cells for write in cell.writes)


PHASES = ("forward", "backward", "optimizer")


@dataclass(slots=True)
class Operation:
    """One ATen operation as it happened."""

    number: int
    name: str
    """Without `aten.` and `.default`: `mm`, `add.Tensor`."""
    args: dict[str, Any]
    """By the names of the schema; tensors are places."""
    results: list[Any]
    """Places, or what else it returned."""
    phase: str
    module: str
    """The path of the module it happened in, "" for the model itself or outside."""
    source: str
    """file:line of the user's code."""
    forward: int | None
    """In the backward pass: the number of the operation it differentiates."""
    is_view: bool
    writes: tuple[str, ...]
    """Arguments it wrote to."""

    @property
    def is_unseen(self) -> bool:
        """Whether it has to do with a tensor whose numbers are not recorded."""
        return any(isinstance(value, Unseen) for value in [*self.args.values(), *self.results])

    @property
    def has_formula_kinds(self) -> bool:
        """Whether formulas can speak of all its tensors: none is sparse or of complex numbers."""
        tensors = [place for _, place in self.operands()] + [place for _, place in self.outputs()]
        return not self.is_unseen and not any(place.dtype.is_complex for place in tensors)

    def operands(self) -> Iterator[tuple[str, Place]]:
        """Yield every tensor it read, by argument name, `tensors.0` in a list."""
        for name, value in self.args.items():
            if isinstance(value, Place):
                yield name, value
            elif isinstance(value, list):
                yield from ((f"{name}.{i}", one) for i, one in enumerate(value) if isinstance(one, Place))

    def outputs(self) -> Iterator[tuple[int, Place]]:
        """Yield every tensor among the results, by its number."""
        for i, result in enumerate(self.results):
            yield from ((i, place) for place in places_in(result))


def is_empty(name: str) -> bool:
    """Return whether an operation only asks for memory: what is in it is nobody's numbers until it is written to."""
    return name.startswith(("empty", "new_empty"))


def places_in(value: Any) -> Iterator[Place]:
    """Yield the tensors in an argument: itself, or those of a list."""
    if isinstance(value, Place):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from places_in(one)


def with_tensors(value: Any, read: Callable[[Place], Any]) -> Any:
    """Return an argument with its places replaced by what `read` makes of them."""
    if isinstance(value, Place):
        return read(value)
    if isinstance(value, (list, tuple)):
        return type(value)(with_tensors(one, read) for one in value)
    return value
