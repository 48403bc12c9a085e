"""A formula bound to the sizes of one operation: a small tree of plain arithmetic on elements.

Every name is a number, an array or an index variable with a size; there are no tuples, no locals and no conditions on
plain arguments any more. Each `Node` knows the variables it depends on. The same tree is computed as whole arrays
(`evaluate`), at one index (`at_index`), and by a browser from its JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.microscope.formula_functions import FUNCTIONS, NEUTRAL


@dataclass(frozen=True, order=True)
class Var:
    """An index variable: one axis. Variables of the result come first, then those of outer sums, then of inner."""

    order: tuple[int, int, int]
    size: int
    name: str = field(compare=False)


class Node:
    """One operation of the bound tree. Equal nodes of one tree are the same object."""

    __slots__ = ("args", "bounds", "data", "kind", "op", "plan", "vars")

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
        self.plan: Any = None
        """How `reductions` computes it."""

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
                if factor.op == "number" and factor.data == 1:
                    continue
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
    """Whether the one variable counts through the whole result, row by row."""
    of_infinity: float = math.inf
    """What infinity becomes when it is stored: in whole numbers the smallest there is."""

    @cached_property
    def most_at_once(self) -> int:
        """How many elements the largest array for one element of the result has."""
        return max(math.prod(v.size for v in node.vars if v not in self.axes) for node in self.root.walk())
