"""The derivative of one element of a result by every element it reads, backwards through the bound tree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from cutaway.microscope.bound_tree import Node, Var
from cutaway.microscope.element_places import named_places, places_of
from cutaway.microscope.evaluate import Evaluator
from cutaway.microscope.formula_functions import FUNCTIONS, number
from cutaway.microscope.terms import KEPT_TERMS, MOST_TERMS, At, Column, keep, merged
from cutaway.microscope.values import Array, spread


class Gradient:
    """Goes backwards through a tree at one index and collects the derivative by every element read.

    A slope of None is zero: what only decides something, as in a condition, is collected with weight 0.
    """

    def __init__(self, result: At, evaluator: Evaluator, is_part: bool = False) -> None:
        self.result = result
        self.evaluator = evaluator
        self.is_part = is_part
        """Whether this is part of a sum too long to keep all its terms."""

    def go(self, root: Node, slope: Array | None) -> None:
        """Collect the derivatives of `slope * root`."""
        slopes: dict[Node, Array | None] = {root: slope}
        for node in reversed(in_order(root)):
            if node in slopes:
                self.node(node, slopes.pop(node), slopes)

    def add(self, slopes: dict[Node, Array | None], node: Node, slope: Array | None, own: tuple[Var, ...]) -> None:
        """Add to the slope of a node, summed over the variables it does not depend on."""
        if slope is None:
            slopes.setdefault(node, None)
            return
        extra = tuple(n for n, v in enumerate(own) if v not in node.vars)
        slope = np.broadcast_to(slope, self.evaluator.count(own)).sum(axis=extra)
        before = slopes.get(node)
        slopes[node] = slope if before is None else before + slope

    def node(self, node: Node, slope: Array | None, slopes: dict[Node, Array | None]) -> None:
        """Pass the slope of a node on to what it is made of."""
        if node.op == "read":
            self.collect(node, slope)
        elif node.op == "reduce":
            self.reduce(node, slope, slopes)
        elif slope is None or node.kind == "b":
            for arg in node.args:
                self.add(slopes, arg, None, ())
        elif node.op == "where":
            test = self.evaluator.value(node.args[0])
            chosen = spread(test.array, test.vars, node.vars) != 0
            self.add(slopes, node.args[0], None, ())
            for arg, take in zip(node.args[1:], (chosen, ~chosen), strict=True):
                if take.any():
                    self.add(slopes, arg, np.where(take, slope, 0.0), node.vars)
        elif node.op == "total":
            for arg in node.args:
                self.add(slopes, arg, slope, node.vars)
        elif node.op in FUNCTIONS:
            self.function(node, slope, slopes)

    def function(self, node: Node, slope: Array, slopes: dict[Node, Array | None]) -> None:
        """Pass the slope of a function on to its arguments."""
        values = [self.evaluator.value(arg) for arg in node.args]
        args = [number(spread(v.array, v.vars, node.vars)) for v in values]
        rule = FUNCTIONS[node.op]
        result = np.asarray(self.evaluator.value(node).array, dtype=np.float64)
        for n, arg in enumerate(node.args):
            if n >= len(rule.slopes):
                self.add(slopes, arg, None, ())
            elif arg.op != "number":
                with np.errstate(all="ignore"):
                    own = rule.slopes[n](*args, result)
                    self.add(slopes, arg, np.where(slope == 0, 0.0, slope * own), node.vars)

    def reduce(self, node: Node, slope: Array | None, slopes: dict[Node, Array | None]) -> None:
        """Pass the slope of a reduction on to its body."""
        kind, over = node.data
        (body,) = node.args
        evaluator = self.evaluator
        if slope is None or kind in ("any", "all"):
            self.add(slopes, body, None, ())
            return
        inner = spread(slope, node.vars, body.vars)
        if kind == "sum" and math.prod(evaluator.count(body.vars)) > MOST_TERMS:
            self.long_sum(body, inner, over)
            return
        if kind in ("max", "min"):
            value, best = evaluator.value(body), evaluator.value(node)
            is_best = value.array == spread(best.array, best.vars, body.vars)
            axes = tuple(n for n, v in enumerate(body.vars) if v in over)
            inner = np.where(is_best, inner / np.maximum(is_best.sum(axis=axes, keepdims=True), 1), 0.0)
        elif kind == "prod":
            inner = inner * others_product(evaluator.value(body).array, body, over)
        self.add(slopes, body, inner, body.vars)

    def long_sum(self, body: Node, slope: Array, over: Sequence[Var]) -> None:
        """Collect the derivatives of a sum part by part and keep the largest."""
        evaluator = self.evaluator
        before = dict(evaluator.ranges)
        for _ in parts_of_range(over, math.prod(evaluator.count(body.vars)), evaluator):
            part = At(None, "")
            Gradient(part, evaluator, True).go(body, np.broadcast_to(slope, evaluator.count(body.vars)))
            self.result.rest += part.rest
            self.result.rest_count += part.rest_count
            for column in merged(part.columns):
                keep(self.result, column)
        assert evaluator.ranges == before

    def collect(self, node: Node, slope: Array | None) -> None:
        """Note the derivative by each element of a read."""
        evaluator = self.evaluator
        if node.data[0] == "given":
            return
        value = evaluator.value(node)
        shape = evaluator.count(node.vars)
        weights = np.broadcast_to(0.0 if slope is None else slope, shape).ravel()
        numbers = np.broadcast_to(number(value.array), shape).ravel()
        values = np.zeros(len(weights)) if slope is None else np.where(weights == 0, 0.0, weights * numbers)
        chosen = None
        if self.is_part and len(values) > KEPT_TERMS:
            chosen = np.argpartition(-np.abs(values), KEPT_TERMS - 1)[:KEPT_TERMS]
            self.result.rest += float(values.sum() - values[chosen].sum())
            self.result.rest_count += len(values) - KEPT_TERMS
            weights, values = weights[chosen], values[chosen]
        places, inside = places_of(node, node.vars, evaluator, chosen)
        if inside is not None and not inside.all():
            weights, values, places = weights[inside], values[inside], places[:, inside]
        for operand, which, rows in named_places(node.data[0], places, evaluator):
            self.result.columns.append(Column(operand, values[which], weights[which], rows))


def parts_of_range(over: Sequence[Var], count: int, evaluator: Evaluator) -> Iterator[None]:
    """Go through the ranges of variables part by part, so that no part has more than so many terms.

    Args:
        count: of all terms.
    """
    if count <= MOST_TERMS or not over:
        yield
        return
    first = max(over, key=lambda v: evaluator.count([v]))
    rest = [v for v in over if v is not first]
    start, stop = evaluator.range(first)
    step = max(1, MOST_TERMS * (stop - start) // count)
    for at in range(start, stop, step):
        evaluator.set_range(first, (at, min(at + step, stop)))
        yield from parts_of_range(rest, count * step // (stop - start), evaluator)
    evaluator.set_range(first, None if (start, stop) == (0, first.size) else (start, stop))


def others_product(values: Array, body: Node, over: Sequence[Var]) -> Array:
    """Return for each factor the product of the others."""
    axes = tuple(n for n, v in enumerate(body.vars) if v in over)
    zeros = (values == 0).sum(axis=axes, keepdims=True)
    product = np.where(values == 0, 1.0, values).prod(axis=axes, keepdims=True)
    return np.where(values == 0, np.where(zeros == 1, product, 0.0), np.where(zeros > 0, 0.0, product / values))


def in_order(root: Node) -> list[Node]:
    """Return the nodes of a tree, each after what it is made of; what indexes an array is left out."""
    found: list[Node] = []
    seen: set[int] = set()

    def visit(node: Node) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        if node.op not in ("read", "inside"):
            for arg in node.args:
                visit(arg)
        found.append(node)

    visit(root)
    return found
