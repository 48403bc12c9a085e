"""A formula bound to one operation: every name a number, an array or an index variable with a size.

`t..`, `..` and `i@dim` become as many variables as the operands have axes, locals are put in, conditions on plain
arguments are settled, sizes are numbers. What is left is a small tree of plain arithmetic on elements, each
`Node` of which knows the variables it depends on: the tree that `evaluate` computes as whole arrays, `at_index` at
one index, and a browser from its JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.microscope import formula_tree as tree
from cutaway.microscope.formula_functions import FUNCTIONS, NEUTRAL

NAN = math.nan
CONSTANTS: dict[str, Any] = {"inf": math.inf, "pi": math.pi, "nan": NAN, "none": None, "true": True, "false": False}


class NotStatic(Exception):
    """An expression that depends on elements or index variables."""


@dataclass(frozen=True, order=True)
class Var:
    """An index variable: one axis. Variables of the result come first, then those of outer sums, then of inner."""

    order: tuple[int, int, int]
    size: int
    name: str = field(compare=False)


class Node:
    """One operation of the bound tree. Equal nodes of one tree are the same object."""

    __slots__ = ("args", "bounds", "data", "kind", "op", "vars")

    def __init__(self, op: str, args: tuple[Node, ...], data: Any, vars_: tuple[Var, ...], kind: str) -> None:
        self.op = op
        """number, var, read, inside, table, reduce, total, where, or a function's name."""
        self.args = args
        self.data = data
        """A number's value, a variable, a read's (name, value outside), a reduction's (kind, variables)."""
        self.vars = vars_
        """What it depends on, in order."""
        self.kind = kind
        """f: real numbers, i: whole numbers, b: truth."""
        self.bounds: tuple[float, float] | None = None
        """Smallest and largest value, for whole numbers known from the variables' sizes alone."""

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, each once."""
        seen: set[int] = set()
        stack = [self]
        while stack:
            node = stack.pop()
            if id(node) not in seen:
                seen.add(id(node))
                yield node
                stack.extend(reversed(node.args))

    def __repr__(self) -> str:
        if self.op == "number":
            return repr(self.data)
        if self.op == "var":
            return str(self.data.name)
        return f"{self.op}{self.data if self.data is not None else ''}({', '.join(map(repr, self.args))})"


class Nodes:
    """Makes nodes: equal ones once, arithmetic on plain numbers done, variables of size 1 replaced by 0."""

    def __init__(self) -> None:
        self.made: dict[Any, Node] = {}

    def node(self, op: str, args: tuple[Node, ...] = (), data: Any = None, kind: str = "f") -> Node:
        """Return the node with these parts."""
        key = (op, tuple(id(arg) for arg in args), repr(data) if op in ("number", "read", "inside") else data, kind)
        found = self.made.get(key)
        if found is None:
            free = {v for arg in args for v in arg.vars}
            if op == "reduce":
                free -= set(data[1])
            if op == "var":
                free = {data}
            found = self.made[key] = Node(op, args, data, tuple(sorted(free)), kind)
            found.bounds = bounds_of(found)
            low, high = found.bounds or (0, 1)
            if low == high and op != "number" and kind == "i":
                found = self.made[key] = self.number(int(low))
        return found

    def number(self, value: Any) -> Node:
        """Return a constant."""
        if isinstance(value, (bool, np.bool_)):
            return self.node("number", data=bool(value), kind="b")
        if isinstance(value, (int, np.integer)):
            return self.node("number", data=int(value), kind="i")
        if isinstance(value, (float, np.floating)):
            return self.node("number", data=float(value), kind="f")
        raise UsageError(f"formula: expected a number, given {value!r}")

    def var(self, var: Var) -> Node:
        """Return a variable; one of size 1 is 0."""
        return self.number(0) if var.size == 1 else self.node("var", data=var, kind="i")

    def call(self, function: str, *args: Node) -> Node:
        """Return a function of nodes, simplified where that changes no number."""
        if function == "pow":
            function = "**"
        rule = FUNCTIONS[function]
        if all(arg.op == "number" for arg in args):
            with np.errstate(all="ignore"):
                values = [arg.data if function in ("bitand", "bitor", "bitxor") else arg.data + 0 for arg in args]
                value = rule.compute(*[np.asarray(v) for v in values])[()]
            whole = rule.kind == "=" and all(arg.kind != "f" for arg in args)
            return self.number(int(value) if whole else bool(value) if rule.kind == "b" else float(value))
        first = args[0]
        if len(args) == 2:
            second = args[1]
            if second.op == "number" and second.data is not True:
                if second.data == 0 and function in ("+", "-"):
                    return first
                if second.data == 1 and (function in ("*", "/", "**") or (function == "//" and first.kind != "f")):
                    return first
            if first.op == "number" and first.data is not True:
                if first.data == 0 and function == "+":
                    return second
                if first.data == 1 and function == "*":
                    return second
        if function == "bracket" and first.kind == "b":
            return first
        kind = rule.kind
        if kind == "=":
            kinds = {arg.kind for arg in args}
            kind = "f" if "f" in kinds else "i"
            if kinds == {"b"} and function in ("*", "bitand", "bitor", "bitxor", "min", "max"):
                kind = "b"
        return self.node(function, args, kind=kind)

    def where(self, condition: Node, value: Node, other: Node) -> Node:
        """Return `value if condition else other`."""
        if condition.op == "number":
            return value if condition.data else other
        kind = value.kind if value.kind == other.kind else "f" if "f" in (value.kind, other.kind) else "i"
        return self.node("where", (condition, value, other), kind=kind)

    def reduce(self, kind: str, over: Sequence[Var], body: Node) -> Node:
        """Return a reduction; factors that do not depend on its variables are pulled out of a sum."""
        if any(var.size == 0 for var in over):
            return self.number(
                NEUTRAL[kind] if body.kind == "f" else int(NEUTRAL[kind]) if kind in ("sum", "prod") else NEUTRAL[kind]
            )
        used = tuple(sorted(v for v in over if v in body.vars))
        repeats = math.prod(v.size for v in over if v not in body.vars)
        if kind == "sum":
            if repeats != 1:
                body = self.call("*", body, self.number(repeats))
            if not used:
                return body
            inside: list[tuple[Node, bool]] = []
            outside: list[tuple[Node, bool]] = []
            for factor, divides in factors_of(body):
                (inside if any(v in factor.vars for v in used) else outside).append((factor, divides))
            if outside:
                return self.product([(self.reduce(kind, used, self.product(inside)), False), *outside])
        if kind == "prod" and repeats != 1:
            body = self.call("**", body, self.number(repeats))
        if not used:
            return body
        result = {"any": "b", "all": "b", "sum": "f" if body.kind == "f" else "i"}.get(kind, body.kind)
        return self.node("reduce", (body,), (kind, used), result)

    def product(self, factors: list[tuple[Node, bool]]) -> Node:
        """Return a product of factors and divisors."""
        found = None
        for factor, divides in sorted(factors, key=lambda pair: pair[1]):
            if found is None:
                found = self.call("/", self.number(1), factor) if divides else factor
            else:
                found = self.call("/" if divides else "*", found, factor)
        return found if found is not None else self.number(1)

    def put(self, node: Node, values: dict[Var, Node]) -> Node:
        """Return the node with other nodes in place of some variables."""
        done: dict[int, Node] = {}

        def go(node: Node) -> Node:
            if not any(v in values for v in node.vars):
                return node
            if id(node) not in done:
                if node.op == "var":
                    new = values[node.data]
                elif node.op in FUNCTIONS:
                    new = self.call(node.op, *map(go, node.args))
                elif node.op == "where":
                    new = self.where(*map(go, node.args))
                else:
                    new = self.node(node.op, tuple(map(go, node.args)), node.data, node.kind)
                done[id(node)] = new
            return done[id(node)]

        return go(node)


def factors_of(node: Node) -> list[tuple[Node, bool]]:
    """Return the factors of a product, and whether each divides."""
    if node.op == "*":
        return factors_of(node.args[0]) + factors_of(node.args[1])
    if node.op == "/":
        return factors_of(node.args[0]) + [(f, not divides) for f, divides in factors_of(node.args[1])]
    return [(node, False)]


def bounds_of(node: Node) -> tuple[float, float] | None:
    """Return the smallest and the largest value of a whole number that depends on index variables only."""
    if node.op == "number":
        return (node.data, node.data) if node.kind == "i" else None
    if node.op == "var":
        return 0, node.data.size - 1
    if node.kind != "i" or node.op not in ("+", "-", "*", "//", "%", "neg", "min", "max"):
        return None
    bounds = [arg.bounds for arg in node.args]
    if any(b is None for b in bounds):
        return None
    (a, b), (c, d) = bounds[0], bounds[-1]  # type: ignore[misc]
    if node.op == "neg":
        return -b, -a
    if node.op == "+":
        return a + c, b + d
    if node.op == "-":
        return a - d, b - c
    if node.op == "*":
        corners = [a * c, a * d, b * c, b * d]
        return min(corners), max(corners)
    if node.op == "min":
        return min(a, c), min(b, d)
    if node.op == "max":
        return max(a, c), max(b, d)
    if c != d or c <= 0:
        return None
    if node.op == "//":
        return a // c, b // c
    return (a % c, b % c) if a // c == b // c else (0, c - 1)


def affine(node: Node) -> tuple[dict[Var, int], int] | None:
    """Return a whole number as a sum of multiples of variables and a constant, or None if it is none."""
    if node.op == "number":
        return ({}, node.data) if node.kind == "i" else None
    if node.op == "var":
        return {node.data: 1}, 0
    if node.op not in ("+", "-", "*", "neg"):
        return None
    parts = [affine(arg) for arg in node.args]
    if any(part is None for part in parts):
        return None
    (left, a), (right, b) = parts[0], parts[-1]  # type: ignore[misc]
    if node.op == "neg":
        return {v: -n for v, n in left.items()}, -a
    if node.op == "*":
        if left and right:
            return None
        return {v: n * (b if left else a) for v, n in (left or right).items()}, a * b
    sign = 1 if node.op == "+" else -1
    both = dict(left)
    for v, n in right.items():
        both[v] = both.get(v, 0) + sign * n
    return {v: n for v, n in both.items() if n}, a + sign * b


@dataclass(frozen=True)
class Tree:
    """One result of an operation as a bound tree."""

    root: Node
    axes: tuple[Var | None, ...]
    """The variable of each axis of the result; None for an axis of size 1."""
    shape: tuple[int, ...]
    is_flat: bool
    """Whether the one variable counts through the whole result in order of memory."""


def is_array(value: Any) -> bool:
    """Return whether an argument is an array."""
    return isinstance(value, np.ndarray)


class Binder:
    """Turns one statement into a bound tree."""

    def __init__(
        self, statements: tuple[tree.Statement, ...], arguments: dict[str, Any], outputs: Sequence[Any]
    ) -> None:
        self.statements = statements
        self.arguments = arguments
        self.outputs = outputs
        self.nodes = Nodes()
        self.derived: dict[str, np.ndarray[Any, Any]] = {}
        """Arrays of `positions` and `spread`, by their name in the tree."""
        self.fresh = 0

    def statement(self, k: int) -> tuple[int, tree.Statement] | None:
        """Return the statement of an output and its number, or None if there is none."""
        for n, statement in enumerate(self.statements):
            if output_number(statement.target) == k:
                return n, statement
        return None

    # Reading: what names mean

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

    def array_of(self, node: tree.Node, scope: dict[str, list[Node]]) -> tuple[str, Any]:
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

    def constant(self, node: tree.Node, scope: dict[str, list[Node]]) -> Any:
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

    def constant_call(self, node: tree.Call, scope: dict[str, list[Node]]) -> Any:
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

    def truth(self, node: tree.Node, scope: dict[str, list[Node]]) -> bool:
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

    # Resolving: locals put in, variables given names of their own, branches chosen

    def resolve(self, node: Any, names: dict[str, Any], before: int) -> Any:
        """Return an expression with locals (of statements before a number) and variables replaced."""
        if isinstance(node, (tree.Number, tree.Text)) or node is None:
            return node
        if isinstance(node, tree.Name):
            return self.resolve_name(node, names, before)
        if isinstance(node, tree.Blank):
            return tree.Blank(self.resolve(node.axes, names, before), node.is_tuple)
        if isinstance(node, tree.Placed):
            index = self.resolve(node.index, names, before)
            return (
                index
                if isinstance(index, (tree.Blank, tree.Placed))
                else tree.Placed(index, self.resolve(node.axes, names, before))
            )
        if isinstance(node, tree.Bounded):
            return tree.Bounded(names[node.variable.name], self.resolve(node.limit, names, before))
        if isinstance(node, tree.Reduce):
            inner = dict(names)
            variables = []
            for r in node.variables:
                self.fresh += 1
                inner[r.variable.name] = tree.Name(f"{r.variable.name}#{self.fresh}", r.variable.is_tuple)
                variables.append(
                    tree.Range(inner[r.variable.name], self.resolve(r.limit, names | inner, before), r.is_inclusive)
                )
            return tree.Reduce(node.kind, tuple(variables), self.resolve(node.body, inner, before))
        if isinstance(node, tree.Read):
            local = self.local(node.array, names, before) if isinstance(node.array, tree.Name) else None
            if local is not None and local[1].items is not None:
                return self.put_local(*local, node, names, before)
            array = local[1].value if local is not None else node.array
            if isinstance(array, tree.Read):
                array = tree.Read(array.array, tuple(self.resolve(item, names, before) for item in array.items))
            elif isinstance(array, tree.Call):
                array = self.resolve(array, names, local[0] if local else before)
            return tree.Read(array, tuple(self.resolve(item, names, before) for item in node.items))
        if node.function == "if":
            condition = self.resolve(node.arguments[0], names, before)
            try:
                chosen = node.arguments[1] if self.truth(condition, {}) else node.arguments[2]
            except NotStatic:
                return tree.Call("if", (condition, *(self.resolve(a, names, before) for a in node.arguments[1:])))
            return self.resolve(chosen, names, before)
        if node.function in ARRAY_FUNCTIONS:
            first = node.arguments[0]
            if isinstance(first, tree.Name):
                local = self.local(first, names, before)
                first = self.resolve(local[1].value, names, local[0]) if local else first
            elif isinstance(first, tree.Read):
                first = tree.Read(first.array, tuple(self.resolve(item, names, before) for item in first.items))
            plain = node.function in ("positions", "spread")
            rest = [
                self.resolve_array(a, names, before) if plain else self.resolve(a, names, before)
                for a in node.arguments[1:]
            ]
            return tree.Call(node.function, (first, *rest))
        return tree.Call(node.function, tuple(self.resolve(argument, names, before) for argument in node.arguments))

    def resolve_array(self, node: Any, names: dict[str, Any], before: int) -> Any:
        """Return an argument that is an array as a whole."""
        local = self.local(node, names, before) if isinstance(node, tree.Name) else None
        return self.resolve(local[1].value, names, local[0]) if local else node

    def resolve_name(self, node: tree.Name, names: dict[str, Any], before: int) -> Any:
        """Return what a name stands for."""
        if node.name in names:
            return names[node.name]
        if node.name == "" and node.is_tuple:
            return tree.Name("#all", True)
        local = self.local(node, names, before)
        if local is not None:
            if local[1].items:
                raise UsageError(f"formula: {node.name} needs its index")
            return self.resolve(local[1].value, names, local[0])
        if node.is_tuple:
            raise UsageError(f"formula: no result or reduction introduces {node.name}..")
        if node.name == "given":
            return tree.Read(node, (tree.Name("#all", True),))
        if is_array(self.value_of(node.name)):
            return tree.Read(node, (names.get("", tree.Name("#all", True)),))
        return node

    def local(self, node: Any, names: dict[str, Any], before: int) -> tuple[int, tree.Statement] | None:
        """Return the last statement before a number that defines a local of this name."""
        if not isinstance(node, tree.Name) or node.name in names or node.is_tuple:
            return None
        for n in range(before - 1, -1, -1):
            if self.statements[n].target == node.name and output_number(node.name) is None:
                return n, self.statements[n]
        return None

    def put_local(self, n: int, statement: tree.Statement, node: tree.Read, names: dict[str, Any], before: int) -> Any:
        """Return the body of a local with these indices."""
        given = [self.resolve(item, names, before) for item in node.items]
        formal = statement.items or ()
        if len(given) != len(formal) and len(tuples := [item for item in given if is_tuple(item)]) == 1:
            at, lanes = given.index(tuples[0]), len(formal) - len(given) + 1
            given[at : at + 1] = [tree.Call("lane", (tuples[0], tree.Number(lane))) for lane in range(lanes)]
        if len(given) != len(formal):
            raise UsageError(f"formula: {statement.target} has {len(formal)} indices, given {len(given)}")
        inner: dict[str, Any] = {}
        for parameter, item in zip(formal, given, strict=True):
            if isinstance(parameter, tree.Placed):
                parameter = parameter.index
                item = item.index if isinstance(item, tree.Placed) else item
            if isinstance(parameter, tree.Bounded):
                parameter = parameter.variable
            if isinstance(parameter, tree.Name):
                inner[parameter.name] = item
        return self.resolve(statement.value, inner, n)

    # Counting axes

    def layout(self, items: Sequence[Any], shape: Sequence[int], what: str) -> list[tuple[Any, int | None]]:
        """Return for each axis of an array the index that stands there, and which of a tuple's axes it is."""
        n = len(shape)
        found: list[tuple[Any, int | None] | None] = [None] * n
        rest = []
        for item in items:
            if isinstance(item, (tree.Placed, tree.Blank)) and item.axes is not None:
                full = self.full.get(repr(item.axes), n)
                axes = self.dims(item.axes, full)
                if isinstance(item, tree.Blank) and n != full:
                    continue
                for lane, axis in enumerate(axes):
                    if axis - (full - n) >= 0:
                        found[axis - (full - n)] = (item, lane)
            else:
                rest.append(item)
        left = [axis for axis in range(n) if found[axis] is None]
        ranks = [self.item_rank(item) for item in rest]
        free = len(left) - sum(rank for rank in ranks if rank is not None)
        for item, rank in zip(rest, ranks, strict=True):
            if rank is None:
                rank = free if ranks.count(None) == 1 else -1
                if rank < 0:
                    break
                shift = self.ranks.get(item.name, rank) - rank if isinstance(item, tree.Name) else 0
                shift = max(shift, 0)
            else:
                shift = 0
            single = rank == 1 and not tuple_names(item, self.several)
            for lane in range(rank):
                if not left:
                    break
                found[left.pop(0)] = (item, None if single else lane + shift)
        else:
            if not left:
                return found  # type: ignore[return-value]
        raise UsageError(f"formula: {what} has {n} axes {tuple(shape)}, which do not fit the index {show_items(items)}")

    def item_rank(self, item: Any) -> int | None:
        """Return how many axes an index stands on, None for what takes all that are left."""
        if isinstance(item, tree.Blank):
            return None if item.is_tuple else 1
        if isinstance(item, tree.Bounded):
            item = item.variable
        names = tuple_names(item, self.several)
        if not names:
            return 1
        if isinstance(item, tree.Name) and (item.name in self.spreading or item.name not in self.ranks):
            return None
        ranks = [self.ranks[name] for name in names if name in self.ranks]
        if not ranks:
            raise UsageError(f"formula: how many axes has {show_items([item])}? No array tells")
        return max(ranks)

    def dims(self, axes: tree.Node, rank: int) -> list[int]:
        """Return the axes an argument names, of an array with so many."""
        value = self.constant(axes, {})
        if rank == 0:
            return []
        if value is None or (isinstance(value, (list, tuple)) and not value):
            return list(range(rank))
        found = [value] if isinstance(value, int) else list(value)
        if any(not -rank <= axis < rank for axis in found):
            raise UsageError(f"formula: axis {value} of an array with {rank} axes")
        return [axis % rank for axis in found]

    def count_axes(self, target: tuple[Any, ...], shape: Sequence[int], body: Any) -> None:
        """Find how many axes each tuple stands for."""
        self.ranks: dict[str, int] = {"#all": len(shape)}
        self.full: dict[str, int] = {}
        self.several: set[str] = set()
        self.spreading = {"#all"}
        uses = [(target, len(shape))]
        for node in syntax(body):
            if isinstance(node, tree.Read):
                array = self.array_of(node.array, {"": []})[1]
                if isinstance(array, (list, tuple)):
                    array = max(array, key=np.ndim, default=0.0)
                uses.append((node.items, np.ndim(array)) if is_array(array) else ((), 0))
            if isinstance(node, tree.Reduce):
                for r in node.variables:
                    self.count_limit(r.variable, r.limit)
                    if r.variable.name.startswith("#") and r.variable.is_tuple:
                        self.spreading.add(r.variable.name)
        for items, n in uses:
            for item in items:
                if isinstance(item, tree.Bounded):
                    self.count_limit(item.variable, item.limit)
                if isinstance(item, tree.Placed):
                    self.full[repr(item.axes)] = max(n, self.full.get(repr(item.axes), 0))
        for items, _ in uses:
            for item in items:
                if isinstance(item, tree.Placed):
                    for name in [x.name for x in syntax(item.index) if isinstance(x, tree.Name) and "#" in x.name]:
                        count = len(self.dims(item.axes, self.full[repr(item.axes)]))
                        if isinstance(item.index, tree.Name) or count != 1:
                            self.several.add(name)
                            self.ranks[name] = max(count, self.ranks.get(name, 0))
        anonymous = {item.name for item in target if isinstance(item, tree.Name) and item.name.startswith("#")}
        self.spreading |= anonymous
        changed = True
        while changed:
            changed = False
            for which, (items, n) in enumerate(uses):
                left = n
                unknown: list[str | None] = []
                for item in items:
                    if isinstance(item, (tree.Placed, tree.Blank)) and item.axes is not None:
                        full = self.full.get(repr(item.axes))
                        if full is None:
                            unknown.append(None)
                        elif isinstance(item, tree.Placed) or n == full:
                            left -= len(self.dims(item.axes, full))
                    elif isinstance(item, tree.Blank):
                        left -= 1
                        if item.is_tuple:
                            unknown.append(None)
                    else:
                        item = item.variable if isinstance(item, tree.Bounded) else item
                        names = tuple_names(item, self.several)
                        if not names:
                            left -= 1
                        elif (
                            isinstance(item, tree.Name)
                            and item.name in self.spreading
                            and (which or item.name not in self.ranks)
                        ):
                            unknown.append(item.name)
                        else:
                            ranks = [self.ranks[name] for name in names if name in self.ranks]
                            if ranks:
                                left -= max(ranks)
                            unknown += [name for name in names if name not in self.ranks] if not ranks else []
                            for name in names if ranks else ():
                                if name not in self.ranks:
                                    self.ranks[name], changed = max(ranks), True
                if len(unknown) == 1 and unknown[0] is not None and left >= 0:
                    name = unknown[0]
                    grows = name in self.spreading and name not in anonymous and name != "#all"
                    if name not in self.ranks or (grows and left > self.ranks[name]):
                        self.ranks[name], changed = left, True

    def count_limit(self, variable: tree.Name, limit: tree.Node | None) -> None:
        """Note that a tuple has as many axes as the list that limits it is long."""
        if variable.is_tuple and limit is not None:
            try:
                value = self.constant(limit, {})
            except NotStatic:
                return
            if isinstance(value, (list, tuple)):
                self.ranks[variable.name] = len(value)

    # Lowering: to the bound tree

    def bind(self, k: int) -> Tree:
        """Return the bound tree of an output."""
        found = self.statement(k)
        if found is None:
            raise UsageError(f"formula: no statement for result {k}")
        n, statement = found
        self.given = self.outputs[k]
        kinds = {value.dtype.char for value in (*self.arguments.values(), self.given) if is_array(value)}
        self.is_single = "d" not in kinds and bool(kinds & {"f", "e"})
        shape = tuple(self.given.shape)
        items: tuple[Any, ...]
        layout_shape = (math.prod(shape),) if statement.is_flat else shape
        names: dict[str, Any] = {}
        items = statement.items if statement.items is not None else EVERYTHING
        for named in [part for item in items for part in syntax(item) if isinstance(part, tree.Name)]:
            names[named.name] = tree.Name(f"{named.name}#0", named.is_tuple)
        target = tuple(self.resolve(item, names, n) for item in items)
        body = self.resolve(statement.value, names, n)
        self.count_axes(target, layout_shape, body)
        scope: dict[str, list[Node]] = {}
        axes: list[Var | None] = []
        for axis, (item, lane) in enumerate(self.layout(target, layout_shape, "the result")):
            if isinstance(item, tree.Blank):
                axes.append(None)
                continue
            variable: Any = item.index if isinstance(item, tree.Placed) else item
            if isinstance(item, tree.Bounded):
                variable = item.variable
            if not isinstance(variable, tree.Name):
                raise UsageError(f"formula: the result's index {show_items([item])} is not a variable")
            shown = variable.name.split("#")[0] or "_"
            var = Var((0, axis, 0), layout_shape[axis], f"{shown}{lane}" if lane is not None else shown)
            axes.append(var if var.size != 1 else None)
            nodes = scope.setdefault(variable.name, [])
            nodes.extend([self.nodes.number(0)] * ((lane or 0) + 1 - len(nodes)))
            nodes[lane or 0] = self.nodes.var(var)
        for name in names.values():
            if isinstance(name, tree.Name):
                scope.setdefault(name.name, [])
        scope["#all"] = [self.nodes.var(var) if var else self.nodes.number(0) for var in axes]
        self.scope = scope
        root = self.lower(body, scope, None, 0.0)
        if self.given.dtype == bool and root.kind != "b":
            root = self.nodes.call("!=", root, self.nodes.number(0))
        elif self.given.dtype.kind in "iu" and root.kind == "f":
            root = self.nodes.call("trunc", root)
        return Tree(root, tuple(axes), shape, statement.is_flat)

    def lower(self, node: Any, scope: dict[str, list[Node]], lane: int | None, outside: float) -> Node:
        """Return an expression as a node.

        Args:
            lane: which axis of a tuple is meant, None outside tuples.
            outside: what reading outside an array gives here.
        """
        make = self.nodes
        try:
            value = self.constant(node, scope)
        except NotStatic:
            pass
        else:
            if isinstance(value, (list, tuple)):
                if lane is None:
                    raise UsageError(f"formula: a list {list(value)} where one number is expected")
                value = lane_of(value, lane)
            return make.number(value)
        if isinstance(node, tree.Name):
            found = scope.get(node.name)
            if found is None:
                raise UsageError(f"formula: {node.name.split('#')[0]} is not known here")
            if not found:
                return make.number(0)
            if len(found) == 1:
                return found[0]
            if lane is None or lane >= len(found):
                raise UsageError(
                    f"formula: {node.name.split('#')[0]} stands for {len(found)} axes, where one is expected"
                )
            return found[lane]
        if isinstance(node, tree.Read):
            return self.lower_read("read", node, scope, outside, lane)
        if isinstance(node, tree.Reduce):
            return self.lower_reduce(node, scope)
        function, arguments = node.function, node.arguments
        if function == "if":
            return make.where(
                self.lower_condition(arguments[0], scope, lane),
                self.lower(arguments[1], scope, lane, outside),
                self.lower(arguments[2], scope, lane, outside),
            )
        if function == "bracket":
            return self.lower_condition(arguments[0], scope, lane)
        if function == "lane":
            return self.lower(arguments[0], scope, arguments[1].value, outside)
        if function == "inside":
            return self.lower_read("inside", arguments[0], scope, outside, lane)
        if function not in FUNCTIONS:
            raise UsageError(f"formula: unknown function {function!r}; there are {', '.join(sorted(FUNCTIONS))}")
        nodes = [self.lower(argument, scope, lane, outside) for argument in arguments]
        if function in SINGLE and self.is_single:
            nodes = [make.number(float(np.float32(n.data))) if n.op == "number" and n.kind == "f" else n for n in nodes]
        return make.call(function, *nodes)

    def lower_condition(self, node: tree.Node, scope: dict[str, list[Node]], lane: int | None) -> Node:
        """Return a condition as 1 or 0: conditions joined by `and`, and those on tuples, as a product."""
        make = self.nodes
        if isinstance(node, tree.Call) and node.function == "and":
            return make.call("*", *(self.lower_condition(a, scope, lane) for a in node.arguments))
        names = tuple_names(node, self.several) if lane is None else []
        count = max((len(scope.get(name, ())) for name in names), default=1)
        if count != 1 and isinstance(node, tree.Call) and node.function in tree.COMPARISONS:
            return make.product([(self.lower_condition(node, scope, one), False) for one in range(count)])
        return make.call("bracket", self.lower(node, scope, 0 if names and lane is None else lane, NAN))

    def lower_read(
        self, op: str, node: tree.Read, scope: dict[str, list[Node]], outside: float, lane: int | None
    ) -> Node:
        """Return an element of an array, or whether there is one at that index."""
        make = self.nodes
        name, array = self.array_of(node.array, scope)
        items: Sequence[Any] = node.items
        if isinstance(array, (list, tuple)):
            if not name.endswith(".*"):
                return make.number(lane_of(array, lane or 0))
            first = self.lower(node.array.items[0], scope, None, NAN)  # type: ignore[union-attr]
            array, start = array[0], [first]
        else:
            start = []
        if array is None:
            raise UsageError(f"formula: {name} is not given")
        if is_old_empty(array, items):
            return make.number(outside)
        indices = list(start)
        for axis, (item, which) in enumerate(self.layout(items, array.shape, name)):
            repeats = isinstance(item, tree.Name) and item.name in self.spreading and array.shape[axis] == 1
            if isinstance(item, tree.Blank) or repeats:
                indices.append(make.number(0))
            else:
                index = item.index if isinstance(item, tree.Placed) else item
                indices.append(self.lower(index, scope, which, NAN))
        whole = ((len(self.value_of(name[:-2])),) if start else ()) + tuple(array.shape)
        kind = {"b": "b", "f": "f"}.get(array.dtype.kind, "i")
        is_inside = all(
            index.bounds is not None and index.bounds[0] >= 0 and index.bounds[1] < size
            for index, size in zip(indices, whole, strict=True)
        )
        if op == "inside":
            return make.node("inside", tuple(indices), whole, "b") if not is_inside else make.number(True)
        if is_inside:
            outside = 0.0
        elif outside != 0.0 or math.isnan(outside):
            kind = "f"
        return make.node("read", tuple(indices), (name, outside), kind)

    def lower_reduce(self, node: tree.Reduce, scope: dict[str, list[Node]]) -> Node:
        """Return a sum, maximum and so on."""
        make = self.nodes
        listed = [r for r in node.variables if self.counts_list(node.body, r.variable.name)]
        if listed:
            return self.unroll(node, listed[0], scope)
        height = depth_of(node.body) + 1
        inner = dict(scope)
        over: list[Var] = []
        limits: list[tree.Node] = []
        for r in node.variables:
            sizes = self.range_of(r, node.body, inner, limits)
            shown = r.variable.name.split("#")[0] or "_"
            found = []
            for lane, size in enumerate(sizes):
                single = len(sizes) == 1 and not r.variable.is_tuple
                over.append(Var((1, -height, len(over)), size, shown if single else f"{shown}{lane}"))
                found.append(make.var(over[-1]))
            inner[r.variable.name] = found
        body = self.lower(node.body, inner, None, NEUTRAL[node.kind])
        for limit in limits:
            condition = self.lower_condition(limit, inner, None)
            if node.kind in ("sum", "mean"):
                body = make.call("*", condition, body)
            else:
                body = make.where(condition, body, make.number(NEUTRAL[node.kind]))
        if node.kind == "mean":
            total = make.number(math.prod(var.size for var in over))
            return make.call("/", make.reduce("sum", over, body), total)
        return make.reduce(node.kind, over, body)

    def range_of(
        self, r: tree.Range, body: tree.Node, scope: dict[str, list[Node]], limits: list[tree.Node]
    ) -> list[int]:
        """Return the sizes of a variable's axes: from its limit, or from the arrays it indexes."""
        rank = self.ranks.get(r.variable.name, 1)
        if r.limit is not None:
            try:
                limit = self.constant(r.limit, scope)
                return [max(int(lane_of(limit, lane)) + r.is_inclusive, 0) for lane in range(rank)]
            except NotStatic:
                limits.append(tree.Call("<=" if r.is_inclusive else "<", (r.variable, r.limit)))
        sizes: dict[int, int] = {}
        for node in syntax(body):
            if isinstance(node, tree.Read):
                name, array = self.array_of(node.array, scope)
                if isinstance(array, (list, tuple)) and name.endswith(".*"):
                    array = array[0]
                if not is_array(array) or is_old_empty(array, node.items):
                    continue
                for axis, (item, lane) in enumerate(self.layout(node.items, array.shape, name)):
                    index = item.index if isinstance(item, tree.Placed) else item
                    if index == r.variable:
                        if r.variable.name in self.spreading and sizes.get(lane or 0) == 1:
                            sizes.pop(lane or 0)
                        sizes.setdefault(lane or 0, array.shape[axis])
        if set(sizes) != set(range(rank)):
            if r.limit is not None:  # only known relative to another variable
                bounds = self.lower(r.limit, scope, None, NAN).bounds
                if bounds is not None:
                    return [int(bounds[1]) + r.is_inclusive] * rank
            shown = r.variable.name.split("#")[0]
            raise UsageError(f"formula: no array shows the range of {shown}; write it: {shown} < n")
        return [sizes[lane] for lane in range(rank)]

    def counts_list(self, node: Any, name: str) -> str:
        """Return the list argument that a variable counts through, '' if none."""
        for part in syntax(node):
            if isinstance(part, tree.Read) and isinstance(part.array, tree.Name) and tree.Name(name) in part.items:
                value = self.given if part.array.name == "given" else self.value_of(part.array.name)
                if isinstance(value, (list, tuple)):
                    return part.array.name
        return ""

    def unroll(self, node: tree.Reduce, r: tree.Range, scope: dict[str, list[Node]]) -> Node:
        """Return a reduction over the arrays of a list, one after another."""
        rest = tuple(other for other in node.variables if other is not r)
        name = self.counts_list(node.body, r.variable.name)
        count = len(self.value_of(name))
        if r.limit is not None:
            count = int(self.constant(r.limit, scope)) + r.is_inclusive
        parts = []
        for n in range(count):
            inner = scope | {r.variable.name: [self.nodes.number(n)]}
            body = tree.Reduce(node.kind, rest, node.body) if rest else node.body
            parts.append(self.lower(body, inner, None, NEUTRAL[node.kind]))
        if not parts:
            return self.nodes.number(NEUTRAL[node.kind])
        if len(parts) == 1:
            return parts[0]
        if node.kind in ("max", "min", "prod", "any", "all"):
            function = {"prod": "*", "any": "or", "all": "and"}.get(node.kind, node.kind)
            found = parts[0]
            for part in parts[1:]:
                found = self.nodes.call(function, found, part)
            return found
        if any(part.op == "read" for part in parts):
            kind = "f" if any(part.kind == "f" for part in parts) else "i"
            total = self.nodes.node("total", tuple(parts), kind=kind)
        else:
            total = parts[0]
            for part in parts[1:]:
                total = self.nodes.call("+", total, part)
        return self.nodes.call("/", total, self.nodes.number(count)) if node.kind == "mean" else total


EVERYTHING = (tree.Name("", True),)
SINGLE = (*tree.COMPARISONS, "%", "//")
"""Where PyTorch first rounds a plain number to float32 if no array is float64, and where that can matter much."""
ARRAY_FUNCTIONS = ("size", "numel", "rank", "kind", "has", "len", "flat", "positions", "spread")


def output_number(name: str) -> int | None:
    """Return which result a name means: out and out0 the first, out1 the second."""
    if name == "out":
        return 0
    return int(name[3:]) if name.startswith("out") and name[3:].isdigit() else None


def is_old_empty(array: Any, items: Sequence[Any]) -> bool:
    """Return whether this is one of the empty tensors with one axis that `cat` accepts beside any others."""
    return array.shape == (0,) and len(items) > 1


def lane_of(value: Any, lane: int) -> Any:
    """Return the part of a list argument for one axis; a number or a list of one is for all axes."""
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) == 1:
        return value[0]
    if lane >= len(value):
        raise UsageError(f"formula: {list(value)} has no value for axis {lane} of the tuple")
    return value[lane]


def syntax(node: Any) -> Iterator[Any]:
    """Yield all parts of an expression, from left to right."""
    yield node
    if isinstance(node, tree.Call):
        for argument in node.arguments:
            yield from syntax(argument)
    elif isinstance(node, tree.Reduce):
        for r in node.variables:
            if r.limit is not None:
                yield from syntax(r.limit)
        yield from syntax(node.body)
    elif isinstance(node, tree.Read):
        yield from syntax(node.array)
        for item in node.items:
            yield from syntax(item)
    elif isinstance(node, tree.Placed):
        yield from syntax(node.index)
    elif isinstance(node, tree.Bounded):
        yield from syntax(node.variable)


def is_tuple(item: Any) -> bool:
    """Return whether an index is a variable of several axes."""
    return isinstance(item, tree.Name) and item.is_tuple


def tuple_names(node: Any, several: set[str]) -> list[str]:
    """Return the variables of several axes in an index, not counting those inside another array's index."""
    if isinstance(node, tree.Name):
        return [node.name] if node.is_tuple or node.name in several else []
    if isinstance(node, tree.Call) and node.function != "lane":
        return [name for argument in node.arguments for name in tuple_names(argument, several)]
    return []


def depth_of(node: Any) -> int:
    """Return how deeply reductions are nested."""
    best = 0
    for part in syntax(node):
        if isinstance(part, tree.Reduce):
            best = max(best, 1 + depth_of(part.body))
            if part is not node:
                continue
    return best


def show_items(items: Sequence[Any]) -> str:
    """Return indices as a person writes them, without the marks that make names unique."""
    from cutaway.microscope.formula_print import items_text

    return f"[{items_text(items)}]"


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
