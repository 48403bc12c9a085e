"""One element of a result: its value, and what it was made of.

Where the formula is a sum of products, each product is a term and the terms add up to the value:

    out[i,j] = sum(k: self[i,k] * mat2[k,j])      a term per k: value, operand self[i,k], its weight mat2[k,j]

Anything else is a function of the elements it reads: the weight is the derivative by that element (computed backwards
through the tree), and a term's value is weight times element, its first-order share, which need not add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cutaway.microscope.bound_tree import Node, Nodes, Tree, Var
from cutaway.microscope.derivative import Gradient, in_order, parts_of_range
from cutaway.microscope.element_places import named_places, places_of
from cutaway.microscope.evaluate import Evaluator
from cutaway.microscope.formula_functions import number
from cutaway.microscope.formula_numbers import Writer
from cutaway.microscope.pieces import piece_sizes, stored
from cutaway.microscope.terms import MOST_TERMS, At, Column, keep, merged
from cutaway.microscope.values import Array, spread, union


class Part(NamedTuple):
    """One summand of a sum of products: factors, divisors, and the variables it is summed over."""

    factors: tuple[Node, ...]
    divisors: tuple[Node, ...] = ()
    over: tuple[Var, ...] = ()


def at(bound: Tree, evaluator: Evaluator, index: Sequence[int]) -> At:
    """Return an element of a result."""
    index = tuple(int(i) for i in index)
    if bound.is_flat:
        index = (int(np.ravel_multi_index(index, bound.shape)) if bound.shape else 0,)
    for v, i in zip(bound.axes, index, strict=True):
        if v is not None:
            evaluator.set_range(v, (i, i + 1))
    if bound.most_at_once > MOST_TERMS:
        evaluator.pieces = piece_sizes(bound.root, evaluator)
    with np.errstate(all="ignore"):
        value = evaluator.value(bound.root)
        error = 0.0 if value.error is None else float(np.asarray(value.error).item())
        result = At(stored(np.asarray(value.array), bound).item(), "function", 0.0 if math.isnan(error) else error)
        parts = parts_of(bound.root, evaluator)
        if parts is not None and (
            any(map(is_element, (f for p in parts for f in p.factors))) or not reads_in(bound.root)
        ):
            result.kind = "sum of products"
            for part in parts:
                add_part(result, part, evaluator)
        else:
            Gradient(result, evaluator).go(bound.root, np.ones((1,) * len(bound.root.vars)))
    result.columns = merged(result.columns) if result.kind == "function" else result.columns
    result.writer = lambda found: Writer(evaluator, bound).write(found)
    return result


def parts_of(node: Node, evaluator: Evaluator) -> list[Part] | None:
    """Return an expression as a sum of products of elements, or None if it is none."""
    op, args = node.op, node.args
    if op == "read" or not has_reads(node):
        return [Part((node,))]
    if op in ("+", "-", "neg", "total", "rounded"):
        found = []
        for n, arg in enumerate(args[:1] if op == "rounded" else args):
            parts = parts_of(arg, evaluator)
            if parts is None:
                return None
            negative = op == "neg" or (op == "-" and n == 1)
            found += [Part((MINUS_ONE, *p.factors), p.divisors, p.over) if negative else p for p in parts]
        return found
    if op in ("*", "/"):
        left = parts_of(args[0], evaluator)
        if op == "/":
            if left is None or has_reads(args[1]):
                return None
            return [Part(p.factors, (*p.divisors, args[1]), p.over) for p in left]
        right = parts_of(args[1], evaluator)
        if left is None or right is None or (len(left) > 1 and len(right) > 1):
            return None
        if len(left) * len(right) > 1 and any(
            has_reads(f) for p in (left if len(left) == 1 else right) for f in p.factors
        ):
            return None  # (a + b) * c reads better as it stands
        pairs = [(a, b) for a in left for b in right]
        if any(set(a.over) & set(b.over) for a, b in pairs):
            return None
        return [Part(a.factors + b.factors, a.divisors + b.divisors, a.over + b.over) for a, b in pairs]
    if op == "where" and all(evaluator.count([v]) == [1] for v in args[0].vars):
        chosen = evaluator.value(args[0]).array.item()
        return parts_of(args[1] if chosen else args[2], evaluator)
    if op == "where":
        branches = [parts_of(arg, evaluator) for arg in args[1:]]
        if branches[0] is None or branches[1] is None:
            return None
        yes = args[0]
        no = Node("not", (yes,), None, yes.vars, "b")
        return [
            Part((test, *p.factors), p.divisors, p.over)
            for test, parts in ((yes, branches[0]), (no, branches[1]))
            for p in parts
            if p.factors != (ZERO,)
        ]
    if op == "reduce" and node.data[0] == "sum":
        parts = parts_of(args[0], evaluator)
        return None if parts is None else [Part(p.factors, p.divisors, p.over + node.data[1]) for p in parts]
    return [Part((node,))] if node.kind == "b" else None


def is_element(node: Node) -> bool:
    """Return whether a node is an element of an operand."""
    return node.op == "read" and node.data[0] != "given"


def reads_in(root: Node) -> bool:
    """Return whether a tree reads any element other than to index with it."""
    return any(node.op == "read" for node in in_order(root))


MINUS_ONE = Node("number", (), -1, (), "i")
ZERO = Node("number", (), 0, (), "i")


def has_reads(node: Node) -> bool:
    """Return whether an expression is made of elements, not only of indices, conditions and constants."""
    if node.op == "read":
        return True
    if node.kind == "b" and node.op != "*":
        return False
    return any(has_reads(arg) for arg in node.args)


def add_part(result: At, part: Part, evaluator: Evaluator) -> None:
    """Add the terms of one summand to a result."""
    factors, divisors, over = selected(part, evaluator)
    if any(v.size == 0 for v in over):
        return
    reads = [f for f in factors if f.op == "read"]
    if not any(map(is_element, reads)):
        total = product_of(factors, divisors, over, evaluator)
        repeats = math.prod(evaluator.count([v for v in over if v not in union(*(f.vars for f in factors), ())]))
        result.constant += float(np.sum(total)) * repeats
        return
    primary = next(f for kind in "fib" for f in reads if f.kind == kind)
    count = math.prod(evaluator.count(over))
    if count <= MOST_TERMS:
        result.columns += columns_of(primary, reads, factors, divisors, over, evaluator)
        return
    for _ in parts_of_range(over, count, evaluator):
        for column in columns_of(primary, reads, factors, divisors, over, evaluator):
            keep(result, column)


def selected(part: Part, evaluator: Evaluator) -> tuple[list[Node], list[Node], list[Var]]:
    """Return a summand with only those values of its variables for which all its conditions hold."""
    over, factors, divisors = list(part.over), list(part.factors), list(part.divisors)
    nodes = Nodes()
    for group in joined([f for f in factors if f.kind == "b" and set(f.vars) & set(over)], set(over)):
        every = union(*(condition.vars for condition in group))
        holds: Any = np.True_
        for condition in group:
            value = evaluator.value(condition)
            holds = holds & (spread(value.array, value.vars, every) != 0)
        coordinates = np.nonzero(np.broadcast_to(holds, evaluator.count(every)))
        point = Var((2, len(evaluator.tables), 0), len(coordinates[0]), "point")
        put: dict[Var, Node] = {}
        for v, places in zip(every, coordinates, strict=True):
            if v in over:
                key = len(evaluator.tables)
                evaluator.tables[key] = places + evaluator.range(v)[0]
                put[v] = Node("table", (), key, (point,), "i")
                over.remove(v)
        over.append(point)
        factors = [nodes.put(f, put) for f in factors if f not in group or f.op == "read"]
        divisors = [nodes.put(f, put) for f in divisors]
    return factors, divisors, over


def joined(conditions: list[Node], over: set[Var]) -> list[list[Node]]:
    """Return conditions in groups that have no variables in common."""
    groups: list[list[Node]] = []
    for condition in conditions:
        mine = [g for g in groups if any(set(condition.vars) & set(other.vars) & over for other in g)]
        groups = [g for g in groups if g not in mine] + [[condition, *(other for g in mine for other in g)]]
    return groups


def product_of(factors: list[Node], divisors: list[Node], over: Sequence[Var], evaluator: Evaluator) -> Array:
    """Return a product on some variables."""
    total: Any = np.float64(1.0)
    every = union(tuple(over), *(f.vars for f in [*factors, *divisors]))
    for f in factors:
        value = evaluator.value(f)
        total = total * number(spread(value.array, value.vars, every))
    for f in divisors:
        value = evaluator.value(f)
        total = total / number(spread(value.array, value.vars, every))
    return np.asarray(total)


def columns_of(
    primary: Node,
    reads: list[Node],
    factors: list[Node],
    divisors: list[Node],
    over: Sequence[Var],
    evaluator: Evaluator,
) -> list[Column]:
    """Return the terms of a product."""
    every = union(tuple(over), *(f.vars for f in [*factors, *divisors]))
    shape = evaluator.count(every)
    rest = list(factors)
    rest.remove(primary)
    weights = np.broadcast_to(product_of(rest, divisors, every, evaluator), shape).ravel()
    element = evaluator.value(primary)
    numbers = np.broadcast_to(number(spread(element.array, element.vars, every)), shape).ravel()
    inside = np.ones(len(numbers), bool)
    found = []
    for read in [primary, *(r for r in reads if r is not primary)]:
        places, is_inside = places_of(read, every, evaluator)
        if is_inside is not None:
            inside &= is_inside
        found.append((read.data[0], places))
    if not inside.all():
        weights, numbers = weights[inside], numbers[inside]
        found = [(name, places[:, inside]) for name, places in found]
    named = [list(named_places(name, places, evaluator)) for name, places in found]
    columns = []
    for operand, chosen, places in named[0]:
        others = [(other[0][0], other[0][2][:, chosen]) for other in named[1:] if len(other) == 1]
        w = weights[chosen]
        columns.append(Column(operand, w * numbers[chosen], w, places, others))
    return columns
