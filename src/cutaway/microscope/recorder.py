"""Record what a PyTorch program computes, operation by operation, without changing it.

A dispatch mode sees every ATen operation below autograd: forward pass, backward pass and optimizer step of any module.
Hooks say which module is at work, autograd's sequence numbers say which operation a gradient differentiates, hooks on
the nodes of autograd's graph say which tensor it belongs to. Kernels that hide their steps are opened: attention runs
through its mathematical form, optimizers one weight at a time, an operation without a formula through PyTorch's own
decomposition. Numbers that are overwritten in place are kept first.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cutaway.microscope.one_by_one import one_by_one
from cutaway.microscope.record import Cell, Memory, Operation, Place, Unseen, Write, is_empty, places_in, with_tensors

_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(__file__).parent)
_STRIDED = torch.strided
_CONTEXTLIB = contextlib.__file__
HIDDEN_WRITES = {
    "native_batch_norm": ("running_mean", "running_var"),
    "cudnn_batch_norm": ("running_mean", "running_var"),
}
"""Arguments a kernel writes to although its schema does not say so (while training)."""


WORTH_MOVING_BYTES = 1 << 16
"""Smaller tensors are copied sooner than moved."""
LAZY_VIEWS = {"_conj": torch.ops.aten._conj_physical.default, "_neg_view": torch.ops.aten.neg.default}


@dataclass(slots=True)
class Kind:
    """What never changes about an operation."""

    function: Any
    name: str
    arguments: tuple[str, ...]
    defaults: dict[str, Any]
    writes: tuple[str, ...]
    decompose: Callable[..., Any] | None
    has_tensors: bool
    """Whether it reads or makes any; a profiler's mark does not."""
    is_exact: bool
    """Whether it computes, and gives the same numbers when it runs again."""
    aside: Any = None
    """Of an operation that overwrites its first operand: the one that puts the same numbers into fresh memory."""


@dataclass(slots=True)
class Mark:
    """A name a tensor got while it was recorded."""

    kind: str
    """param, buffer, input, out, tap, loss, grad (of a parameter), gradient (of an operation's result), old state, state,
    new (a parameter after the step)."""
    name: str
    place: Place
    operation: int
    """`gradient`: whose result; else how many operations there were."""
    which: int = 0
    """`gradient`: which of its results."""
    holder: Tensor | None = None
    """The tensor itself, where others hold it too: its version counter tells whether they changed it."""


SHARED = ("param", "buffer", "input", "grad", "state", "old state", "new", "out", "loss")
"""Kinds of marks on tensors that the user's program holds too and may change when the recording has ended."""


class Recorder(TorchDispatchMode):
    """Sees the operations; `tracing.recording` adds the hooks.

    Args:
        knows: whether an operation has a formula; others are decomposed where PyTorch can.
    """

    def __init__(self, knows: Callable[[str], bool]) -> None:
        super().__init__()
        self.memory, self.operations, self.marks = Memory(), list[Operation](), list[Mark]()
        self.knows = knows
        self.phase = "forward"
        self.path: list[str] = []
        self.step_source = ""  # the line that called the optimizer
        self._cells: dict[int, int] = {}
        self._kinds: dict[Any, Kind] = {}
        self._makers: dict[
            int, tuple[Place, Any, int]
        ] = {}  # in the optimizer: what made the present version of a storage
        self._nodes: dict[int, int] = {}  # autograd's sequence number -> the operation it was made for
        self._last_sequence = -1
        self._is_theirs: dict[Any, bool] = {}
        self._holders: dict[int, int] = {}  # storage -> how many of our marks hold a tensor in it

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or every operation would go through one more layer, which imports the compiler

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and write down what it read and what came out."""
        kwargs = kwargs or {}
        kind = self._kinds.get(func)
        if kind is None:
            kind = self._kinds[func] = describe(func, self.knows)
        if not kind.has_tensors:
            return func(*args, **kwargs)
        if kind.decompose is not None:
            with self:
                result = kind.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if kind.name in LAZY_VIEWS:
            # a view whose numbers are conjugated (or negated) only when read: compute them here
            with self:
                return LAZY_VIEWS[kind.name](torch.as_tensor(args[0]))
        to_places, place = self._to_places, self.place
        read = dict(kind.defaults)
        for name, value in zip(kind.arguments, args, strict=False):
            read[name] = place(value) if type(value) is Tensor and value.layout is _STRIDED else to_places(value)
        for name, value in kwargs.items():
            read[name] = to_places(value)
        writes = kind.writes
        saved: list[Write] = []
        if kind.name in HIDDEN_WRITES and read.get("training", True):
            writes = (*writes, *HIDDEN_WRITES[kind.name])
        if writes:
            number = len(self.operations)
            written = [place for name in writes for place in places_in(read.get(name))]
            if kind.aside is not None and self.phase == "optimizer" and self.may_move(args[0], read[writes[0]]):
                return self._write_aside(kind, read, args, kwargs)
            saved = [Write(place, self._overwritten(place), number) for place in written]
        result = func(*args, **kwargs)
        for write in saved:
            self.memory.cells[write.place.storage].writes.append(write)
        if isinstance(result, (tuple, list)):
            returned = [to_places(one, True) for one in result]
        else:
            returned = [to_places(result, True)]
        for name in writes if kind.name in HIDDEN_WRITES else ():
            returned += [self.memory.now(place) for place in places_in(read.get(name))]
        self._write_down(kind, read, returned, writes)
        return result

    def _write_down(self, kind: Kind, read: dict[str, Any], returned: list[Any], writes: tuple[str, ...]) -> None:
        number = len(self.operations)
        node = torch._C._current_autograd_node()
        forward = None
        if node is not None:
            phase = "backward"
            forward = self._nodes.get(node._sequence_nr())
        else:
            phase = self.phase
            sequence = torch._C._autograd._get_sequence_nr() - 1
            if sequence > self._last_sequence:  # autograd has just made a node for this operation
                self._nodes[sequence] = number
                self._last_sequence = sequence
        if forward is not None:
            module, source = self.operations[forward].module, self.operations[forward].source
        else:
            module = self.path[-1] if self.path else ""
            source = self.step_source if phase == "optimizer" else "" if phase == "backward" else self.user_line()
        if phase == "optimizer":
            for made in returned:
                if isinstance(made, Place):
                    if kind.is_exact:
                        self._makers[made.storage] = made, kind.function, number
                    else:
                        self._makers.pop(made.storage, None)
        self.operations.append(
            Operation(number, kind.name, read, returned, phase, module, source, forward, False, writes)
        )

    def _overwritten(self, place: Place) -> Tensor | Callable[[], Tensor]:
        """Return what is about to be overwritten: a copy, or how to compute it again.

        An optimizer's step goes through several versions of every weight and average. Those in between are not copied:
        the operation that made one runs again on its recorded operands when somebody asks, and what the next one made of
        it was recorded.
        """
        maker = self._makers.get(place.storage)
        if maker is None or maker[0] != place:
            return self.memory.read(place).clone()
        made, function, number = maker
        # weakly: a trace must go when its last user does, and not wait for the garbage collector
        operation, memory = self.operations[number], weakref.ref(self.memory)
        return lambda: run_again(function, operation, memory(), made)

    def may_move(self, tensor: Tensor, place: Place) -> bool:
        """Whether a tensor may get other memory: nobody but itself, our cell and our marks looks at what it has."""
        if place.storage in self._makers or tensor.device.type != "cpu":
            return False
        storage = tensor.untyped_storage()
        return (
            tensor.is_contiguous()
            and tensor.nbytes == storage.nbytes() >= WORTH_MOVING_BYTES
            and torch._C._storage_Use_Count(storage._cdata) == 2 + self._holders.get(place.storage, 0)
            and not storage.is_shared()
        )

    def _write_aside(self, kind: Kind, read: dict[str, Any], args: Any, kwargs: Any) -> Tensor:
        """Overwrite a tensor by giving it fresh memory with the new numbers.

        What was there stays where it is: nothing is copied, and the kernel reads and writes as much as in place.
        """
        tensor, place = args[0], read[kind.writes[0]]
        cell = self.memory.cells[place.storage]
        old = cell.storage
        fresh = kind.aside(*args, **kwargs)
        if fresh.dtype != tensor.dtype or fresh.shape != tensor.shape or fresh.stride() != tensor.stride():
            before = tensor.clone()
            tensor.copy_(fresh)
        else:
            before = place.look(old)
            tensor.set_(fresh)
            cell.storage = tensor.untyped_storage()
            self._cells[cell.storage._cdata] = self._cells.pop(old._cdata)
        cell.writes.append(Write(place, before, len(self.operations)))
        self._write_down(kind, read, [self.place(tensor)], kind.writes)
        return tensor

    def place(self, tensor: Tensor, made: bool = False) -> Place:
        """Return where a tensor is now."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        number = self._cells.get(key)
        if number is None:
            number = self._cells[key] = len(self.memory.cells)
            self.memory.cells.append(Cell(storage, is_source=not made))
        version = len(self.memory.cells[number].writes)
        place = (number, version, tensor.dtype, tensor.shape, tensor.stride(), tensor.storage_offset())
        return tuple.__new__(Place, place)  # as Place(...) would, without its call: this runs ten times an operation

    def mark(self, kind: str, name: str, value: Any, operation: int | None = None, which: int = 0) -> None:
        """Name a tensor, or each of a tuple, list or dict of them."""
        if isinstance(value, Tensor):
            if value.layout is torch.strided and not torch._C._functorch.is_functorch_wrapped_tensor(value):
                n = len(self.operations) if operation is None else operation
                place, holder = self.place(value), None
                if kind in SHARED:
                    holder = value
                    if value.requires_grad:  # the tensor itself would keep autograd's graph
                        with torch._C._DisableTorchDispatch():
                            holder = value.detach()
                        self._holders[place.storage] = self._holders.get(place.storage, 0) + 1
                self.marks.append(Mark(kind, name, place, n, which, holder))
        elif isinstance(value, Mapping):
            for key, one in value.items():
                self.mark(kind, f"{name}.{key}" if name else str(key), one)
        elif isinstance(value, (list, tuple)):
            names = getattr(value, "_fields", range(len(value)))
            for key, one in zip(names, value, strict=True):
                self.mark(kind, f"{name}.{key}" if name else str(key), one)

    def gradients_of(self, node: Any) -> Callable[[Any], None]:
        """Return a hook that names the gradients reaching a node of autograd's graph."""
        variable = getattr(node, "variable", None)
        sequence = node._sequence_nr()

        def hook(gradients: Any) -> None:
            forward = self._nodes.get(sequence)
            for which, gradient in enumerate(gradients):
                if isinstance(gradient, Tensor) and variable is None and forward is not None:
                    self.mark("gradient", "", gradient, forward, which)

        return hook

    def _to_places(self, value: Any, made: bool = False) -> Any:
        if isinstance(value, Tensor):
            return self.place(value, made) if value.layout is _STRIDED else Unseen(value)
        if isinstance(value, (list, tuple)):
            return [self._to_places(one, made) for one in value]
        return value

    def user_line(self) -> str:
        """Return file:line of the code that is neither PyTorch's nor ours and called what runs now."""
        frame: Any = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            is_theirs = self._is_theirs.get(code)
            if is_theirs is None:
                file = code.co_filename
                is_theirs = self._is_theirs[code] = not file.startswith((_TORCH, _OURS, "<frozen", _CONTEXTLIB))
            if is_theirs:
                return f"{code.co_filename}:{frame.f_lineno}"
            frame = frame.f_back
        return ""


def describe(func: Any, knows: Callable[[str], bool]) -> Kind:
    """Return what an operation's schema says of it, and how to open it if it has no formula."""
    schema = func._schema
    name = schema.name.removeprefix("aten::") + (f".{schema.overload_name}" if schema.overload_name else "")
    arguments = tuple(argument.name for argument in schema.arguments)
    defaults = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    writes = tuple(a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write)
    if torch.Tag.inplace_view in func.tags:  # changes the shape of a tensor, none of its numbers
        writes = ()
    is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
    decompose = None if knows(name) else one_by_one(func)
    if decompose is None and not writes and not is_view and not knows(name):
        decompose = decompositions().get(func)
        if decompose is None and torch._C._dispatch_has_kernel_for_dispatch_key(
            func.name(), "CompositeImplicitAutograd"
        ):
            decompose = func.decompose
    has_tensors = any("Tensor" in str(one.type) for one in (*schema.arguments, *schema.returns))
    is_exact = not is_view and not is_empty(name) and torch.Tag.nondeterministic_seeded not in func.tags
    return Kind(func, name, arguments, defaults, writes, decompose, has_tensors, is_exact, aside_of(func, writes))


def aside_of(func: Any, writes: tuple[str, ...]) -> Any:
    """Return the operation that computes the same as one that overwrites its first operand, into fresh memory."""
    schema = func._schema
    plain = schema.name.removeprefix("aten::")
    if writes != ("self",) or schema.arguments[0].name != "self" or not plain.endswith("_") or plain.endswith("__"):
        return None
    packet = getattr(torch.ops.aten, plain[:-1], None)
    return getattr(packet, schema.overload_name or "default", None) if packet is not None else None


def run_again(function: Any, operation: Operation, memory: Memory | None, made: Place) -> Tensor:
    """Return one result of a recorded operation by running it on its recorded operands."""
    assert memory is not None

    def read(name: str, place: Place) -> Tensor:
        tensor = memory.read(place)
        return tensor.clone() if name in operation.writes else tensor

    arguments = {name: with_tensors(value, functools.partial(read, name)) for name, value in operation.args.items()}
    with torch.no_grad():
        result = function(**arguments)
    returned = result if isinstance(result, (tuple, list)) else (result,)
    return returned[operation.results.index(made)]


@functools.cache
def decompositions() -> Mapping[Any, Callable[..., Any]]:
    """Return PyTorch's table of operations in terms of simpler ones."""
    from torch._decomp import core_aten_decompositions, decomposition_table

    return {**decomposition_table, **core_aten_decompositions()}
