"""A bound tree as JSON, for a browser to compute the same arithmetic.

    {"shape": [5, 3], "axes": [0, 1], "is_flat": false, "whole": false,
     "variables": [["i", 5], ["j", 3], ["k", 7]],
     "arrays": ["mat2", "self"],
     "nodes": [["var", 0], ["var", 2], ["read", "self", 0, [0, 1]], ..., ["reduce", "sum", [2], 6]]}

`axes` says which variable each axis of the result is (null: of size 1); `is_flat` that the one variable counts through
the result row by row; `whole` that infinities become the smallest whole number. A node names others by their number,
the last one is the result:

    ["number", 2] ["var", v]                 a number ("inf", "-inf", "nan" as text), a variable's value
    ["read", array, outside, [n, ...]]       an element; `outside` where an index is no whole number in range
    ["inside", [size, ...], [n, ...]]        1 if all indices are whole and in range
    ["reduce", kind, [v, ...], n]            sum, prod, max, min, any or all over variables
    ["total", [n, ...]]                      a sum of nodes
    ["if", n, n, n]                          condition, value, other value
    [function, n, ...]                       a function or operator of `formula_functions`; truth is 1 or 0

An array's name is that of an argument or a result, `tensors.3` or all of a list stacked as `tensors.*`, `x.flat` for
x row by row, or one that `Bound.arrays` gives (`positions(...)`, `spread(...)`).
"""

from __future__ import annotations

import math
from typing import Any

from cutaway.microscope.bound_tree import Node, Tree, Var


def plain(value: Any) -> Any:
    """Return a number as JSON can say it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def bound_json(bound: Tree) -> dict[str, Any]:
    """Return a bound tree as JSON-able data."""
    variables: dict[Var, int] = {}
    numbers: dict[Node, int] = {}
    nodes: list[Any] = []
    arrays: set[str] = set()

    def number(v: Var) -> int:
        return variables.setdefault(v, len(variables))

    axes = [None if v is None else number(v) for v in bound.axes]

    def visit(node: Node) -> int:
        if node not in numbers:
            args = [visit(arg) for arg in node.args]
            if node.op == "number":
                made: list[Any] = ["number", plain(node.data)]
            elif node.op == "var":
                made = ["var", number(node.data)]
            elif node.op == "read":
                arrays.add(node.data[0])
                made = ["read", node.data[0], plain(node.data[1]), args]
            elif node.op == "inside":
                made = ["inside", list(node.data), args]
            elif node.op == "reduce":
                made = ["reduce", node.data[0], [number(v) for v in node.data[1]], *args]
            elif node.op == "total":
                made = ["total", args]
            else:
                made = ["if" if node.op == "where" else node.op, *args]
            nodes.append(made)
            numbers[node] = len(nodes) - 1
        return numbers[node]

    visit(bound.root)
    return {
        "shape": list(bound.shape),
        "axes": axes,
        "is_flat": bound.is_flat,
        "whole": math.isfinite(bound.of_infinity),
        "variables": [[v.name, v.size] for v in variables],
        "arrays": sorted(arrays),
        "nodes": nodes,
    }


def plain_tree(value: Any) -> Any:
    """Return nested lists with their numbers as JSON can say them."""
    if isinstance(value, dict):
        return {key: plain_tree(one) for key, one in value.items()}
    return [plain_tree(one) for one in value] if isinstance(value, (list, tuple)) else plain(value)
