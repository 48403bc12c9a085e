"""Run a recording again with some numbers changed: everything downstream is recomputed, gradients and update included.

A trace is a program without branches: every operation with its arguments, in order. An operation runs again when
something it reads has changed; the others keep their recorded numbers. Random draws keep what was drawn. Ablation (a
head set to zero) and activation patching (numbers of another prompt pasted in) are replays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cutaway.base.errors import TraceError, UsageError
from cutaway.microscope.formula import lookup
from cutaway.microscope.record import Cell, Memory, Operation, Place, Write, is_empty, places_in, with_tensors
from cutaway.microscope.trace import Trace

Part = tuple[int | None, ...]
Edits = Mapping[Any, Any]
"""{(address, index): number} or {address: tensor}; None in an index stands for all of that axis."""


class _Working:
    """Memory while a replay runs: recorded storages, and changed copies of those that differ."""

    def __init__(self, recorded: Memory) -> None:
        self.recorded = recorded
        self.changed: dict[int, Cell] = {}
        self.since: dict[int, int] = {}  # storage -> the first version that differs

    def is_changed(self, place: Place) -> bool:
        return place.storage in self.since and place.version >= self.since[place.storage]

    def change(self, storage: int, version: int) -> Cell:
        """Return a storage's own copy, as it is at a version from which on it may differ."""
        cell = self.changed.get(storage)
        if cell is None:
            old = self.recorded.cells[storage]
            contents = self.recorded.contents(storage, version)
            if contents is old.storage:
                contents = contents.clone()
            cell = Cell(contents, old.is_source, list(old.writes[:version]), old.makers)
            self.changed[storage], self.since[storage] = cell, version
        return cell

    def read(self, place: Place) -> Tensor:
        if not self.is_changed(place):
            return self.recorded.read(place)
        cell = self.changed[place.storage]
        return Memory.read_cell(cell, place)

    def memory(self) -> Memory:
        memory = Memory()
        memory.origin = self.recorded
        memory.cells = [self.changed.get(i, cell) for i, cell in enumerate(self.recorded.cells)]
        return memory


def replay(trace: Trace, edits: Edits | None = None, everything: bool = False, until: int | None = None) -> Trace:
    """Return what the program would have computed with these numbers in place of the recorded ones.

    Args:
        edits: {(address, index): number} or {address: tensor or number}. None in an index stands for all of that axis:
            {("blocks.0.attn.z", (None, None, 3, None)): 0.0} silences a head.
        everything: run every operation again, not only those downstream of an edit.
        until: the number of the last operation that matters; later ones keep what was recorded.

    Raises:
        UsageError: an edit does not fit its tensor.
        TraceError: an operation cannot be run again.
    """
    working = _Working(trace.memory)
    waiting = planned(trace, edits or {})
    for place, (index, value) in [(p, e) for p, es in waiting.pop(None, {}).items() for e in es]:
        edit(working, place, index, value)
    for operation in trace.operations if until is None else trace.operations[: until + 1]:
        own = waiting.get(operation.number, {})
        if not operation.is_view and (everything or own or any(working.is_changed(p) for _, p in operation.operands())):
            if operation.is_unseen and edits and (own or any(working.is_changed(p) for _, p in operation.operands())):
                raise TraceError(
                    f"operation {operation.number}, {operation.name}, works on a sparse tensor, whose numbers are not "
                    "recorded: nothing downstream of it can be recomputed"
                )
            if operation.is_unseen or is_drawn(operation, trace.is_loaded):
                keep(working, trace.memory, operation)
            else:
                run(working, operation, trace.is_loaded)
        for place, list_of in own.items():
            for index, value in list_of:
                edit(working, place, index, value)
    result = Trace(trace.operations, working.memory(), is_linked=True)
    result.share_names(trace)
    return result


def planned(trace: Trace, edits: Edits) -> dict[int | None, dict[Place, list[tuple[Part | None, Any]]]]:
    """Return edits by the operation after which they apply (None: before all), by place."""
    waiting: dict[int | None, dict[Place, list[tuple[Part | None, Any]]]] = {None: {}}
    for what, value in edits.items():
        address, index = what if isinstance(what, tuple) else (what, None)
        place = trace.place(address)
        if index is not None:
            place, index = trace.place(address), check_part(trace, address, index)
        else:
            shape = tuple(value.shape) if isinstance(value, Tensor) else ()
            if isinstance(value, Tensor) and shape != place.shape:
                raise UsageError(f"{address} has shape {list(place.shape)}; the edit has shape {list(shape)}")
        after = max(
            (n for made, n, _ in trace.memory.cells[place.storage].makers if made.version <= place.version),
            default=None,
        )
        waiting.setdefault(after, {}).setdefault(place, []).append((index, value))
    return waiting


def check_part(trace: Trace, address: str, index: Any) -> Part:
    """Return an index, negative ones counted from the end, with None where all of an axis is meant.

    Raises:
        UsageError: it does not fit the shape.
    """
    given = (index,) if isinstance(index, int) else tuple(index)
    shape = trace.place(address).shape
    if len(given) != len(shape) or not all(
        i is None or -size <= i < size for i, size in zip(given, shape, strict=True)
    ):
        shown = ", ".join("all" if i is None else str(i) for i in given)
        raise UsageError(f"{address} has shape {list(shape)}; there is no number at [{shown}]")
    return tuple(None if i is None else i % size for i, size in zip(given, shape, strict=True))


def edit(working: _Working, place: Place, index: Part | None, value: Any) -> None:
    """Put a number, or a whole tensor, where it was asked for."""
    cell = working.change(place.storage, place.version)
    with torch.no_grad():
        target = place.look(cell.storage)
        if index is not None:
            target = target[tuple(slice(None) if i is None else i for i in index)]
        numbers = torch.as_tensor(value, dtype=target.dtype, device=target.device)
        if not numbers.shape:  # one number everywhere: also where the same number stands for a whole axis
            for axis, step in enumerate(target.stride()):
                target = target if step or target.shape[axis] < 2 else target.narrow(axis, 0, 1)
        put(target, numbers)


def put(target: Tensor, numbers: Tensor) -> None:
    """Write numbers into a tensor.

    Raises:
        TraceError: several of its numbers are one, so they cannot differ.
    """
    try:
        target.copy_(numbers)
    except RuntimeError as error:
        shape = list(target.shape)
        raise TraceError(
            f"some numbers of a tensor of shape {shape} are one and the same in memory: {error}"
        ) from error


def run(working: _Working, operation: Operation, is_loaded: bool = False) -> None:
    """Run one operation on what its operands are now and store what comes out."""
    targets = written_places(operation)
    written = {place.storage for place in targets}
    for place in targets:
        working.change(place.storage, place.version)
    before = {place: Write(place, working.read(place).clone(), operation.number) for place in targets}

    def tensor(place: Place) -> Tensor:
        if place.storage in written:
            return place.look(working.changed[place.storage].storage)
        return working.read(place)

    with torch.no_grad():
        function = find(operation.name, is_loaded)
        try:
            result = function(**{name: with_tensors(value, tensor) for name, value in operation.args.items()})
        except Exception as error:
            said = " ".join(str(error).split())
            raise TraceError(f"operation {operation.number}, {operation.name}, cannot run again: {said}") from error
        for place, write in before.items():
            working.changed[place.storage].writes.append(write)
        returned = result if isinstance(result, (tuple, list)) else (result,)
        for recorded, now in zip(operation.results, returned, strict=False):
            store(working, recorded, now, written)


def store(working: _Working, recorded: Any, now: Any, written: set[int]) -> None:
    """Put a result where the recording had it."""
    if isinstance(recorded, list):
        for one, other in zip(recorded, now, strict=True):
            store(working, one, other, written)
    elif isinstance(recorded, Place) and isinstance(now, Tensor) and recorded.storage not in written:
        if tuple(now.shape) != recorded.shape:
            raise TraceError(
                f"a result has shape {list(now.shape)} now and had {list(recorded.shape)}: the program would branch"
            )
        cell = working.change(recorded.storage, recorded.version)
        put(recorded.look(cell.storage), now)


def keep(working: _Working, recorded: Memory, operation: Operation) -> None:
    """Carry what was drawn at random over."""
    for place in written_places(operation):
        before = working.read(place).clone()
        working.change(place.storage, place.version).writes.append(Write(place, before, operation.number))
    with torch.no_grad():
        for _, place in operation.outputs():
            put(place.look(working.change(place.storage, place.version).storage), recorded.read(place))


def written_places(operation: Operation) -> list[Place]:
    """Return what an operation writes to, as it was before."""
    return [place for name in operation.writes for place in places_in(operation.args.get(name))]


def find(name: str, is_loaded: bool = False) -> Any:
    """Return PyTorch's function for a recorded name.

    Args:
        is_loaded: the name comes from a file: only PyTorch's own arithmetic will do.

    Raises:
        TraceError: this PyTorch has no such operation, or it may not be run.
    """
    if is_loaded:
        function = find_safe(name)
        if function is None:
            raise TraceError(
                f"operation {name!r} is not one a trace from a file may run; it can be looked at, not replayed"
            )
        return function
    base, _, overload = name.partition(".")
    namespace, _, plain = base.rpartition("::")
    try:
        return getattr(getattr(getattr(torch.ops, namespace or "aten"), plain), overload or "default")
    except AttributeError:
        raise TraceError(f"this PyTorch has no operation {name}") from None


def find_safe(name: str) -> Any:
    """Return the ATen operation of a name, or None if there is none or a stranger's trace should not run it.

    Not: anything that names a file, what is not computed on tensors at all (TorchScript's `save`), and internals that check
    nothing, unless there is a formula for them.
    """
    if not re.fullmatch(r"\w+(\.\w+)?", name, re.ASCII):
        return None
    base, _, overload = name.partition(".")
    function = getattr(getattr(torch.ops.aten, base, None), overload or "default", None)
    if not isinstance(function, torch._ops.OpOverload) or not torch._C._dispatch_has_kernel(function.name()):
        return None
    if any(argument.name == "filename" for argument in function._schema.arguments):
        return None
    is_internal = name.startswith("_") and not name.startswith("__")  # __and__ is an operator
    return None if is_internal and lookup(name) is None else function


def is_drawn(operation: Operation, is_loaded: bool = False) -> bool:
    """Return whether an operation's results are not computed: random draws, memory that nobody has filled yet."""
    return is_empty(operation.name) or torch.Tag.nondeterministic_seeded in find(operation.name, is_loaded).tags
