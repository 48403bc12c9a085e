"""Backpropagation: the chain rule, walked once from the result back to what it was made from.

    d loss / d operand  =  sum over everything made from the operand:  d loss / d result * d result / d operand

A node may pass its gradient on only when all of that sum has arrived, that is, after everything made from it has had its
turn. Operands are always made before results, so going through the nodes from the youngest to the oldest is such
an order (a reversed topological order): no recursion, however deep the graph. Linnainmaa 1970; Rumelhart, Hinton and
Williams 1986. Both engines, scalar (value.py) and array (array.py), use this page.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol, TypeVar

next_number = itertools.count(1).__next__
"""Gives every node of every graph its number: operands have smaller ones than their results."""

birth = attrgetter("number")


class GraphNode(Protocol):
    """What a graph is made of."""

    number: int

    @property
    def operands(self) -> Sequence[GraphNode]:
        """What the node was made from; a leaf (a weight, an input) has none."""
        ...


Node = TypeVar("Node", bound=GraphNode)


def made_from(root: Node) -> list[Node]:
    """Return the root and every result it was made from, youngest first; leaves are left out."""
    found, waiting = {root}, [root]
    while waiting:
        for operand in waiting.pop().operands:
            if operand.operands and operand not in found:
                found.add(operand)  # type: ignore[arg-type]
                waiting.append(operand)  # type: ignore[arg-type]
    return sorted(found, key=birth, reverse=True)
