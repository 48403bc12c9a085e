"""The formula of one element with its numbers put in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cutaway.microscope.bound_tree import Node, Tree, Var
from cutaway.microscope.evaluate import Evaluator
from cutaway.microscope.formula_functions import FUNCTIONS, number
from cutaway.microscope.terms import At

SHOWN_TERMS = 3
LONGEST = 600


class Writer:
    """Writes the formula of one element with numbers in place of names."""

    def __init__(self, evaluator: Evaluator, bound: Tree) -> None:
        self.evaluator = evaluator
        self.bound = bound
        self.left = 120
        """How many more pieces to write before cutting short."""

    def write(self, found: At) -> str:
        """Return the text."""
        if found.kind == "sum of products":
            return self.sum(found)
        here = {v: span[0] for v, span in self.evaluator.ranges.items()}
        with np.errstate(all="ignore"):
            root = self.bound.root
            written = self.node(root.args[0] if root.op == "trunc" else root, here, 0)
        return written if len(written) <= LONGEST else written[:LONGEST] + " ..."

    def sum(self, found: At) -> str:
        """Return a sum of products: the first terms."""
        pieces: list[str] = []
        count = found.rest_count
        for column in found.columns:
            count += len(column.values)
            for n in range(min(len(column.values), SHOWN_TERMS if len(column.values) > SHOWN_TERMS + 1 else 4)):
                term = column.term(n)
                element = self.evaluator.array_named(term.operand)[term.index].item()
                plain = term.weight == 1
                pieces.append(show(element) if plain else f"{show(term.weight)} * {show(element, 7)}")
        if count > len(pieces):
            pieces.append(f"... ({count - len(pieces):,} more)")
        if found.constant or not pieces:
            pieces.append(show(found.constant))
        return " + ".join(pieces).replace("+ -", "- ")

    def node(self, node: Node, here: dict[Var, int], least: int) -> str:
        """Return a node with numbers in place of elements."""
        self.left -= 1
        if self.left < 0:
            return "..."
        if node.op in ("number", "var", "read", "table", "inside"):
            return show(self.scalar(node, here), least)
        if node.op == "rounded":
            return self.node(node.args[0], here, least)
        if node.op == "where":
            return self.node(node.args[1] if self.scalar(node.args[0], here) else node.args[2], here, least)
        if node.op == "total":
            for arg in node.args:
                if self.is_inside(arg, here):
                    return self.node(arg, here, least)
            return "0"
        if node.op == "reduce":
            return self.reduce(node, here)
        binding = {"+": 6, "-": 6, "*": 7, "/": 7, "//": 7, "%": 7, "**": 9}.get(node.op)
        if node.op == "neg":
            text = f"-{self.node(node.args[0], here, 8)}"
            return f"({text})" if least >= 7 else text
        if binding is None:
            if node.kind == "b":
                return show(self.scalar(node, here), least)
            return f"{node.op}({', '.join(self.node(arg, here, 0) for arg in node.args)})"
        left = self.node(node.args[0], here, binding + (node.op == "**"))
        text = f"{left} {node.op} {self.node(node.args[1], here, binding + 1)}"
        return f"({text})" if binding < least else text

    def reduce(self, node: Node, here: dict[Var, int]) -> str:
        """Return a reduction with its first few elements."""
        kind, over = node.data
        count = math.prod(v.size for v in over)
        shown = count if count <= SHOWN_TERMS + 1 else SHOWN_TERMS
        pieces = []
        for n in range(shown):
            inner, left = dict(here), n
            for v in reversed(over):
                left, inner[v] = divmod(left, v.size)
            pieces.append(self.node(node.args[0], inner, 6 if kind == "sum" else 0))
        if shown < count:
            pieces.append(f"... ({count - shown:,} more)")
        return f"({' + '.join(pieces)})".replace("+ -", "- ") if kind == "sum" else f"{kind}({', '.join(pieces)})"

    def is_inside(self, node: Node, here: dict[Var, int]) -> bool:
        """Return whether a read lies inside its array."""
        if node.op != "read":
            return True
        index = [self.scalar(arg, here) for arg in node.args]
        return all(0 <= i < n for i, n in zip(index, self.evaluator.array(node.data[0]).shape, strict=True))

    def scalar(self, node: Node, here: dict[Var, int]) -> Any:
        """Return the value of a node for some values of its variables."""
        if node.op == "number":
            return node.data
        if node.op == "var":
            return here[node.data]
        if node.op == "read":
            index = [self.scalar(arg, here) for arg in node.args]
            array = self.evaluator.array(node.data[0])
            if all(0 <= i < n and i == math.floor(i) for i, n in zip(index, array.shape, strict=True)):
                return array[tuple(int(i) for i in index)].item()
            return node.data[1]
        if node.op == "where":
            return self.scalar(node.args[1] if self.scalar(node.args[0], here) else node.args[2], here)
        if node.op in FUNCTIONS:
            args = [np.asarray(self.scalar(arg, here)) for arg in node.args]
            return FUNCTIONS[node.op].compute(*args if node.kind == "b" else map(number, args)).item()
        inner = Evaluator(self.evaluator.arrays, with_rounding=False)
        inner.tables = self.evaluator.tables
        inner.ranges = {v: (i, i + 1) for v, i in here.items()}
        return np.asarray(inner.value(node).array).item()


def show(value: Any, least: int = 0) -> str:
    """Return a number to six digits, in parentheses if it is negative and stands after a sign."""
    text = f"{value:.6g}" if isinstance(value, float) else str(int(value))
    return f"({text})" if least >= 7 and text.startswith("-") else text
