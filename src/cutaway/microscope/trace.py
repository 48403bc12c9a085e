"""A trace: everything a program computed, by address.

trace = cutaway.trace(model, inputs, loss=fn, optimizer=opt)
trace["lm_head.weight:grad"]                      a tensor, as it was
trace.explain("lm_head.weight:grad", (3, 7))      the arithmetic that made one number
trace.verify()                                    all of it, recomputed
trace.replay({("transformer.h.0:out", (0, 5, 12)): 0.0})
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.microscope.names import Names, nearest
from cutaway.microscope.record import Index, Memory, Operation, Place, with_tensors
from cutaway.microscope.recorder import Mark
from cutaway.notebook import Figure, Shown

if TYPE_CHECKING:
    from cutaway.microscope.diagnose import Finding
    from cutaway.microscope.explain import Explanation, Link, Reason
    from cutaway.microscope.users import Use
    from cutaway.microscope.verify import Report

COPIED_UP_TO_BYTES = 256 << 20
"""What the program holds too (weights, gradients, state) is copied at the end of a recording up to this size."""


class Trace(Shown):
    """A finished recording.

    Args:
        is_linked: whether the memory knows already which operation made which numbers.

    Attributes:
        failure: what the program failed with, or None.
        notes: what its maker wants to be remembered: texts, numbers and lists of them.
        is_loaded: whether it, or what it replays, came from a file, and may not run just anything.
    """

    def __init__(self, operations: list[Operation], memory: Memory, is_linked: bool = False) -> None:
        self._operations, self._memory = operations, memory
        self._is_linked = is_linked
        self.failure: str | None = None
        self.notes: dict[str, Any] = {}
        self.is_loaded = False
        self._names: Names | None = None
        self._marks: list[Mark] = []

    @property
    def operations(self) -> list[Operation]:
        """The operations, in the order they ran."""
        self._link()
        return self._operations

    @property
    def memory(self) -> Memory:
        """Every number, in all its versions."""
        self._link()
        return self._memory

    def _link(self) -> None:
        """Find out which operation made which numbers; put off until somebody asks."""
        if not self._is_linked:
            self._is_linked = True
            for operation in self._operations:
                operation.is_view = self._memory.note_makers(operation)

    def finish(self, marks: Iterable[Mark], keep: bool | None = None) -> None:
        """End the recording.

        Args:
            keep: copy what the program may change from now on (weights, gradients, state). None: if it is not too
                large. What is not copied is guarded: once changed, it can no longer be read.
        """
        self._marks = list(marks)
        shared: dict[int, list[Tensor]] = {}
        for mark in self._marks:
            if mark.holder is not None:
                shared.setdefault(mark.place.storage, []).append(mark.holder)
                mark.holder = None
        cells = self._memory.cells
        if keep is None:
            keep = sum(cells[number].storage.nbytes() for number in shared) <= COPIED_UP_TO_BYTES
        for number, holders in shared.items():
            if keep:
                storage = cells[number].storage
                numbers = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
                cells[number].storage = numbers.clone().untyped_storage()
            else:
                cells[number].guards = [(holder, holder._version) for holder in holders]

    def share_names(self, other: Trace) -> None:
        """Take over the addresses of the trace this one replays."""
        self._names = Names.__new__(Names)
        self._names.__dict__.update(other.names.__dict__, memory=self.memory)
        self.notes, self.is_loaded = other.notes, other.is_loaded

    def take_names(self, names: Names) -> None:
        """Take over a table of addresses that was made before."""
        self._names = names

    @property
    def names(self) -> Names:
        """The addresses; made when first asked for."""
        if self._names is None:
            self._names = Names(self.operations, self.memory, self._marks)
        return self._names

    def addresses(self, prefix: str = "") -> list[str]:
        """Return every address, or those that begin with a prefix, in the order of the program."""
        return [address for address in self.names.places if address.startswith(prefix)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names.places)

    def __contains__(self, address: object) -> bool:
        return address in self.names.places

    def __getitem__(self, address: str) -> Tensor:
        """Return the tensor with this address, as it was; a copy.

        Raises:
            UsageError: there is no such address; the nearest are named.
        """
        return self.memory.read(self.place(address)).clone()

    def place(self, address: str) -> Place:
        """Return where the tensor with this address is."""
        place = self.names.places.get(address)
        if place is None:
            raise UsageError(
                f"this trace has no {address!r}{nearest(address, self.names.places)}; "
                f"it has {len(self.names.places):,} addresses, trace.addresses() lists them"
            )
        return place

    def check_index(self, address: str, index: Any) -> tuple[Place, Index]:
        """Return the place and a plain index (negative ones counted from the end).

        Raises:
            UsageError: the index does not fit the shape.
        """
        place = self.place(address)
        given = (index,) if isinstance(index, int) else tuple(index)
        if len(given) != len(place.shape) or not all(
            -size <= i < size for i, size in zip(given, place.shape, strict=True)
        ):
            raise UsageError(f"{address} has shape {list(place.shape)}; there is no number at {list(given)}")
        return place, tuple(i % size for i, size in zip(given, place.shape, strict=True))

    def explain(self, address: str, index: Any = (), most: int | None = None) -> Explanation:
        """Return the arithmetic that made one number; see `explain.Explanation`.

        Args:
            most: how many terms of a long sum to list.
        """
        from cutaway.microscope.explain import MOST_TERMS, explain

        return explain(self, address, index, MOST_TERMS if most is None else most)

    def why(self, address: str, index: Any = (), depth: int = 3, most: int = 3) -> Reason:
        """Return the largest contributions to a number, theirs, and so on; see `explain.Reason`."""
        from cutaway.microscope.explain import why

        return why(self, address, index, depth, most)

    def verify(self, gradients: int = 0) -> Report:
        """Recompute every operation from its formula; see `verify.verify`."""
        from cutaway.microscope.verify import verify

        return verify(self, gradients)

    def diagnose(self) -> list[Finding]:
        """Return what looks wrong in this step; see `diagnose`."""
        from cutaway.microscope.diagnose import diagnose

        return diagnose(self)

    def gradient_path(self, address: str, index: Any = ()) -> list[Link]:
        """Return the chain of gradients from the loss to one gradient; see `explain.gradient_path`."""
        from cutaway.microscope.explain import gradient_path

        return gradient_path(self, address, index)

    def used_by(self, address: str, index: Any = (), most: int = 20) -> list[Use]:
        """Return every later operation that reads a number, with what of its results depends on it; see `users`."""
        from cutaway.microscope.users import used_by

        return used_by(self, address, index, most)

    def replay(self, edits: Mapping[Any, Any] | None = None, everything: bool = False) -> Trace:
        """Return what the program would have computed with some numbers changed; see `replay.replay`."""
        from cutaway.microscope.replay import replay

        return replay(self, edits, everything)

    def slice(self, address: str, ranges: Sequence[tuple[int, int]] = ()) -> np.ndarray[Any, Any]:
        """Return a part of a tensor, reading only that: [(first, last + 1) for each axis]; axes not named come whole.

        Raises:
            UsageError: more ranges than axes, or a range outside its axis.
        """
        place = self.place(address)
        fits = len(ranges) <= len(place.shape) and all(
            0 <= first <= last <= size for (first, last), size in zip(ranges, place.shape, strict=False)
        )
        if not fits:
            raise UsageError(f"{address} has shape {list(place.shape)}; there is no part {[list(r) for r in ranges]}")
        return to_numpy(self.memory.read(place)[tuple(slice(first, last) for first, last in ranges)])

    def save(self, folder: str | Path) -> Path:
        """Write it to a folder, whole or not at all; see `store`."""
        from cutaway.microscope.store import save

        return save(self, folder)

    def show(self, address: str | None = None, index: Any = None) -> Figure:
        """Return the trace as a figure, one tensor and the arithmetic of one number in it; see `trace_figure`."""
        from cutaway.microscope.trace_figure import trace_figure

        return trace_figure(self, address, index).show()

    def array(self, place: Place) -> np.ndarray[Any, Any]:
        """Return a place's numbers for formulas: NumPy, bfloat16 widened to float32 (which is exact)."""
        return to_numpy(self.memory.read(place))

    def bind(self, operation: Operation) -> tuple[dict[str, Any], list[Any]]:
        """Return an operation's arguments and results for its formula."""
        arguments = {name: with_tensors(value, self.array) for name, value in operation.args.items()}
        return arguments, [with_tensors(value, self.array) for value in operation.results]

    def __repr__(self) -> str:
        phases = {
            phase: sum(o.phase == phase for o in self.operations) for phase in ("forward", "backward", "optimizer")
        }
        said = ", ".join(f"{n:,} {phase}" for phase, n in phases.items() if n)
        failed = f"; FAILED: {self.failure}" if self.failure else ""
        return f"<Trace of {len(self.operations):,} operations: {said}{failed}>"


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return a tensor's numbers for NumPy."""
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
