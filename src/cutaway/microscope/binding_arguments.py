"""What the names in a formula mean, and the value of expressions of plain arguments and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.microscope import formula_tree as tree
from cutaway.microscope.bound_tree import Node, Nodes
from cutaway.microscope.formula_functions import FUNCTIONS
from cutaway.microscope.formula_syntax import output_number

CONSTANTS: dict[str, Any] = {
    "inf": math.inf,
    "pi": math.pi,
    "nan": math.nan,
    "none": None,
    "true": True,
    "false": False,
}
EVERYTHING = (tree.Name("", True),)
Scope = dict[str, list[Node]]
"""The nodes that stand for an index variable, one for each of its axes."""


class NotStatic(Exception):
    """An expression that depends on elements or index variables."""


class Arguments:
    """The arguments and recorded results of one operation."""

    def __init__(
        self, statements: tuple[tree.Statement, ...], arguments: dict[str, Any], outputs: Sequence[Any]
    ) -> None:
        self.statements = statements
        self.arguments = arguments
        self.outputs = outputs
        self.given: Any = None
        """The recorded result that the statement is about."""
        self.nodes = Nodes()
        self.derived: dict[str, np.ndarray[Any, Any]] = {}
        """Arrays of `positions` and `spread`, by their name in the tree."""
        self.fresh = 0

    def value_of(self, name: str) -> Any:
        """Return an argument or a recorded result."""
        if name in self.arguments:
            return self.arguments[name]
        k = output_number(name)
        if k is not None and k < len(self.outputs):
            return self.outputs[k]
        if name in CONSTANTS:
            return CONSTANTS[name]
        known = ", ".join([*self.arguments, *(f"out{k or ''}" for k in range(len(self.outputs)))])
        raise UsageError(f"formula: unknown name {name!r}; this operation has {known}")

    def array_of(self, node: tree.Node, scope: Scope) -> tuple[str, Any]:
        """Return the name and value of what stands before an index: `self`, `tensors[n]`, `self.flat`."""
        if isinstance(node, tree.Name):
            value = self.given if node.name == "given" else self.value_of(node.name)
            return node.name if output_number(node.name) != 0 else "out", value
        if isinstance(node, tree.Read):
            name, value = self.array_of(node.array, scope)
            if isinstance(value, (list, tuple)) and len(node.items) == 1:
                try:
                    n = self.constant(node.items[0], scope)  # type: ignore[arg-type]
                except NotStatic:
                    return f"{name}.*", value
                return f"{name}.{n}", value[n]
        if isinstance(node, tree.Call) and node.function in ("flat", "positions", "spread"):
            named = [self.array_of(argument, scope) for argument in node.arguments]
            name = (
                f"{named[0][0]}.flat"
                if node.function == "flat"
                else f"{node.function}({','.join(n for n, _ in named)})"
            )
            if name not in self.derived:
                if node.function == "flat":
                    self.derived[name] = named[0][1].reshape(-1)
                elif node.function == "positions":
                    indices = named[1][1] if len(named) > 1 else []
                    self.derived[name] = positions(named[0][1].shape, [indices] if is_array(indices) else indices)
                else:
                    shape = named[1][1].shape
                    value = np.asarray(named[0][1])
                    if value.ndim > len(shape):  # leading axes of size 1 are dropped
                        value = value.reshape(value.shape[value.ndim - len(shape) :])
                    self.derived[name] = np.broadcast_to(value, shape)
            return name, self.derived[name]
        raise UsageError(f"formula: cannot index {type(node).__name__.lower()}")

    def constant(self, node: tree.Node, scope: Scope) -> Any:
        """Return the value of an expression of plain arguments and sizes.

        Raises:
            NotStatic: it depends on elements or index variables.
        """
        if isinstance(node, (tree.Number, tree.Text)):
            return node.value
        if isinstance(node, tree.Name):
            if "#" in node.name:
                found = scope.get(node.name, [])
                if len(found) == 1 and found[0].op == "number" and not node.is_tuple:
                    return found[0].data
                raise NotStatic
            if node.name == "given":
                raise NotStatic
            value = self.value_of(node.name)
            if is_array(value):
                raise NotStatic
            return value
        if isinstance(node, tree.Read):
            if isinstance(node.array, tree.Call) and node.array.function not in ("flat", "positions", "spread"):
                value = self.constant(node.array, scope)
                return value[self.constant(node.items[0], scope)]  # type: ignore[arg-type]
            name, value = self.array_of(node.array, scope)
            if isinstance(value, (bool, int, float)):
                return value
            if isinstance(value, (list, tuple)) and len(node.items) == 1 and not name.endswith(".*"):
                item = value[self.constant(node.items[0], scope)]  # type: ignore[arg-type]
                if not is_array(item):
                    return item
            raise NotStatic
        if isinstance(node, tree.Reduce):
            raise NotStatic
        return self.constant_call(node, scope)

    def constant_call(self, node: tree.Call, scope: Scope) -> Any:
        """Return the value of a function of plain arguments."""
        name, arguments = node.function, node.arguments
        if name in ("size", "numel", "rank", "kind"):
            which, array = self.array_of(arguments[0], scope)
            if which.endswith(".*"):
                raise NotStatic
            shape = np.shape(array) if not isinstance(array, list) else (len(array),)
            if name == "rank":
                return len(shape)
            if name == "kind":
                return {"b": "bool", "i": "int", "u": "int"}.get(np.asarray(array).dtype.kind, "float")
            axes = self.constant(arguments[1], scope) if len(arguments) > 1 else None
            if name == "size":
                if shape == (0,) and axes not in (None, 0, -1):
                    return 0
                if isinstance(axes, (list, tuple)):
                    return [shape[a] for a in axes]
                return list(shape) if axes is None else shape[axes] if shape else 1
            if axes is None or (isinstance(axes, (list, tuple)) and not axes):
                return math.prod(shape)
            return math.prod(shape[a] for a in ([axes] if isinstance(axes, int) else axes)) if shape else 1
        if name == "has":
            try:
                return self.constant(arguments[0], scope) is not None
            except NotStatic:
                return True
        if name == "if":
            return self.constant(arguments[1] if self.truth(arguments[0], scope) else arguments[2], scope)
        if name in ("and", "or"):
            first = self.truth(arguments[0], scope)
            return first if first == (name == "or") else self.truth(arguments[1], scope)
        if name == "not":
            return not self.truth(arguments[0], scope)
        if name == "bracket":
            return self.truth(arguments[0], scope)
        if name == "len" and isinstance(arguments[0], tree.Name) and is_array(self.value_of(arguments[0].name)):
            return len(self.value_of(arguments[0].name))
        values = [self.constant(argument, scope) for argument in arguments]
        if name == "len":
            return len(values[0]) if values[0] is not None else 0
        if name == "last":
            return list(range(-values[0], 0))
        if name == "front":  # what PyTorch's list of paddings puts before each of so many axes
            pad, rank = values
            return [pad[2 * (rank - 1 - axis)] if 2 * (rank - 1 - axis) < len(pad) else 0 for axis in range(rank)]
        if name in ("sum", "prod") and len(values) == 1:
            return (sum if name == "sum" else math.prod)(values[0])
        if name in ("==", "!="):
            return (values[0] == values[1]) == (name == "==")
        if name in ("min", "max") and len(values) == 1:
            return (min if name == "min" else max)(values[0])
        if name not in FUNCTIONS:
            raise UsageError(f"formula: unknown function {name!r}; there are {', '.join(sorted(FUNCTIONS))}")
        lists = [len(v) for v in values if isinstance(v, (list, tuple))]
        if lists:
            each = [[lane_of(v, lane) for v in values] for lane in range(max(lists))]
            return [self.nodes.call(name, *map(self.nodes.number, one)).data for one in each]
        if any(v is None or isinstance(v, str) for v in values):
            raise UsageError(f"formula: {name!r} of {values}: expected numbers")
        return self.nodes.call(name, *map(self.nodes.number, values)).data

    def truth(self, node: tree.Node, scope: Scope) -> bool:
        """Return whether a plain condition holds; an array counts as given."""
        bare = node.array if isinstance(node, tree.Read) and node.items == EVERYTHING else node
        if (
            isinstance(bare, tree.Name)
            and "#" not in bare.name
            and bare.name != "given"
            and is_array(self.value_of(bare.name))
        ):
            return True
        return bool(self.constant(node, scope))


def is_array(value: Any) -> bool:
    """Return whether an argument is an array."""
    return isinstance(value, np.ndarray)


def lane_of(value: Any, lane: int) -> Any:
    """Return the part of a list argument for one axis; a number or a list of one is for all axes."""
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) == 1:
        return value[0]
    if lane >= len(value):
        raise UsageError(f"formula: {list(value)} has no value for axis {lane} of the tuple")
    return value[lane]


def positions(shape: tuple[int, ...], indices: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return for each element of `x[indices]` its place in the flat order of x; an index None is a whole axis."""
    parts: list[Any] = []
    for index in indices:
        if index is None:
            parts.append(None)
        elif index.dtype in (np.bool_, np.uint8):
            parts.extend(np.nonzero(index))
        else:
            parts.append(index)
    parts += [None] * (len(shape) - len(parts))
    given = [axis for axis, part in enumerate(parts) if part is not None]
    arrays = np.broadcast_arrays(*[parts[axis] for axis in given]) if given else []
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    place: Any = 0
    for axis, array in zip(given, arrays, strict=True):
        place = place + (array.astype(np.int64) % shape[axis]) * strides[axis]
    place = np.asarray(place)
    adjacent = given == list(range(given[0], given[0] + len(given))) if given else True
    before = [axis for axis in range(len(shape)) if parts[axis] is None and adjacent and given and axis < given[0]]
    after = [axis for axis in range(len(shape)) if parts[axis] is None and axis not in before]
    found = place.reshape((1,) * len(before) + place.shape + (1,) * len(after))
    for n, axis in enumerate(before):
        found = found + (np.arange(shape[axis]) * strides[axis]).reshape((-1,) + (1,) * (found.ndim - n - 1))
    for n, axis in enumerate(after):
        found = found + (np.arange(shape[axis]) * strides[axis]).reshape((-1,) + (1,) * (len(after) - n - 1))
    return found
