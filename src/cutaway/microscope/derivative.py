"""The derivative of one element of a result by every element it reads, backwards through the bound tree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cutaway.microscope.bound_tree import Node, Var
from cutaway.microscope.element_places import named_places, places_of
from cutaway.microscope.evaluate import Evaluator
from cutaway.microscope.formula_functions import FUNCTIONS, number
from cutaway.microscope.terms import MOST_TERMS, At, Column, keep, merged
from cutaway.microscope.values import Array, spread


class Gradient:
    """Goes backwards through a tree at one index and collects the derivative by every element read."""

    def __init__(self, result: At, evaluator: Evaluator) -> None:
        self.result = result
        self.evaluator = evaluator

    def go(self, root: Node, slope: Array) -> None:
        """Collect the derivatives of `slope * root`."""
        slopes: dict[Node, Array] = {root: slope}
        for node in reversed(in_order(root)):
            if node in slopes:
                self.node(node, slopes[node], slopes)

    def add(self, slopes: dict[Node, Array], node: Node, slope: Array, own: tuple[Var, ...]) -> None:
        """Add to the slope of a node, summed over the variables it does not depend on."""
        extra = tuple(n for n, v in enumerate(own) if v not in node.vars)
        slope = np.broadcast_to(slope, self.evaluator.count(own)).sum(axis=extra)
        slopes[node] = slopes[node] + slope if node in slopes else slope

    def node(self, node: Node, slope: Array, slopes: dict[Node, Array]) -> None:
        """Pass the slope of a node on to what it is made of."""
        evaluator = self.evaluator
        if node.op == "read":
            self.collect(node, slope)
        elif node.op == "where":
            test = evaluator.value(node.args[0])
            chosen = spread(test.array, test.vars, node.vars) != 0
            self.add(slopes, node.args[0], np.zeros(()), node.vars)
            for arg, take in zip(node.args[1:], (chosen, ~chosen), strict=True):
                if take.any():
                    self.add(slopes, arg, np.where(take, slope, 0.0), node.vars)
        elif node.op == "total":
            for arg in node.args:
                self.add(slopes, arg, slope, node.vars)
        elif node.op == "reduce":
            self.reduce(node, slope, slopes)
        elif node.op in FUNCTIONS:
            values = [evaluator.value(arg) for arg in node.args]
            args = [number(spread(v.array, v.vars, node.vars)) for v in values]
            rule = FUNCTIONS[node.op]
            result = np.asarray(evaluator.value(node).array)
            for n, arg in enumerate(node.args):
                if not arg.vars and arg.op == "number":
                    continue
                own: Any = 0.0
                if n < len(rule.slopes) and result.dtype != np.bool_:
                    own = rule.slopes[n](*args, result.astype(np.float64))
                with np.errstate(all="ignore"):
                    self.add(slopes, arg, np.where(slope == 0, 0.0, slope * own), node.vars)

    def reduce(self, node: Node, slope: Array, slopes: dict[Node, Array]) -> None:
        """Pass the slope of a reduction on to its body."""
        kind, over = node.data
        (body,) = node.args
        evaluator = self.evaluator
        spread_slope = spread(slope, node.vars, body.vars)
        count = math.prod(evaluator.count(body.vars))
        if kind == "sum" and count > MOST_TERMS:
            first = max(over, key=lambda v: v.size)
            step = max(1, MOST_TERMS * first.size // count)
            for start in range(0, first.size, step):
                evaluator.set_range(first, (start, min(start + step, first.size)))
                inner = At(None, "")
                Gradient(inner, evaluator).go(body, np.broadcast_to(spread_slope, evaluator.count(body.vars)))
                for column in merged(inner.columns):
                    keep(self.result, column)
            evaluator.set_range(first, None)
            return
        if kind in ("max", "min"):
            value, best = evaluator.value(body), evaluator.value(node)
            is_best = value.array == spread(best.array, best.vars, body.vars)
            axes = tuple(n for n, v in enumerate(body.vars) if v in over)
            spread_slope = np.where(is_best, spread_slope / np.maximum(is_best.sum(axis=axes, keepdims=True), 1), 0.0)
        elif kind == "prod":
            spread_slope = spread_slope * others_product(evaluator.value(body).array, body, over)
        elif kind != "sum":
            spread_slope = np.zeros(())
        self.add(slopes, body, spread_slope, body.vars)

    def collect(self, node: Node, slope: Array) -> None:
        """Note the derivative by each element of a read."""
        evaluator = self.evaluator
        if node.data[0] == "given":
            return
        value = evaluator.value(node)
        shape = evaluator.count(node.vars)
        weights = np.broadcast_to(slope, shape).ravel()
        numbers = np.broadcast_to(number(value.array), shape).ravel()
        places, inside = places_of(node, node.vars, evaluator)
        if inside is not None and not inside.all():
            weights, numbers, places = weights[inside], numbers[inside], places[:, inside]
        for operand, chosen, rows in named_places(node.data[0], places, evaluator):
            w = weights[chosen]
            values = np.where(w == 0, 0.0, w * numbers[chosen])
            self.result.columns.append(Column(operand, values, w, rows))


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
