"""Questions about a formula's syntax tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cutaway.microscope import formula_tree as tree


def output_number(name: str) -> int | None:
    """Return which result a name means: out and out0 the first, out1 the second."""
    if name == "out":
        return 0
    return int(name[3:]) if name.startswith("out") and name[3:].isdigit() else None


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
