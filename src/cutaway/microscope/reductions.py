"""Sums, maxima and so on of a bound tree, computed without making the whole body where that is possible.

product   sum(k: a[i,k] * b[k,j])                  by matrix products of factors, each on its own variables
scatter   sum(t: [index[t] == v] * g[t,c])         each summand goes to its place v
prefix    sum(j <= i: x[j])                        running sums
count     sum(j: [x[j] < y[i]])                    by sorting x
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cutaway.microscope.bound_tree import Node, Var, factors_of
from cutaway.microscope.contraction import contracted
from cutaway.microscope.formula_functions import NEUTRAL, number
from cutaway.microscope.values import Array, Value, plus, size_of, spread, union

if TYPE_CHECKING:
    from cutaway.microscope.evaluate import Evaluator

FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
WORTH_SORTING = 1 << 18
"""Comparisons above which sorting is quicker than comparing all with all."""


class Plan(NamedTuple):
    """How to compute a reduction."""

    how: str
    parts: list[Node]
    """product and scatter: the factors; prefix: what is added up; count: both sides of the comparison."""
    places: list[tuple[Var, Node]] = []  # noqa: RUF012 - never written to
    """scatter: variables of the result that a factor [variable == index] sets, and the indices."""
    last: Var | None = None
    """prefix: the variable up to which to add."""
    sign: str = ""
    """prefix and count: the comparison."""
    other: Any = 0.0
    """scatter: what a place has that nothing goes to."""


DENSE = Plan("dense", [])


def plan_of(node: Node) -> Plan:
    """Return how to compute a reduction."""
    if node.plan is None:
        node.plan = make_plan(node)
    return node.plan


def make_plan(node: Node) -> Plan:
    """Find how to compute a reduction."""
    kind, over = node.data
    (body,) = node.args
    value, other = body, NEUTRAL[kind]
    if kind == "sum":
        pairs = factors_of(body)
        if any(divides for _, divides in pairs):
            return DENSE
        factors = [factor for factor, _ in pairs]
    elif body.op == "where" and body.args[2].op == "number" and kind in ("max", "min", "prod"):
        condition, value, rest = body.args
        other = rest.data
        factors = [factor for factor, _ in factors_of(condition)]
    else:
        return DENSE
    found = prefix_plan(kind, over, factors, value, other) or scatter_plan(kind, over, factors, value, other)
    if found or kind != "sum":
        return found or DENSE
    if len(factors) == 1:
        return count_plan(node, factors[0], over)
    whole = math.prod(v.size for v in body.vars)
    largest = max(math.prod(v.size for v in factor.vars) for factor in factors)
    return Plan("product", factors) if whole > largest else DENSE


def prefix_plan(kind: str, over: tuple[Var, ...], factors: list[Node], value: Node, other: float) -> Plan | None:
    """Return a plan for a reduction over `j <= i`."""
    for factor in factors if len(over) == 1 and other == NEUTRAL[kind] else []:
        if factor.op not in ("<", "<=", ">", ">=") or any(arg.op != "var" for arg in factor.args):
            continue
        left, right = factor.args
        sign = factor.op
        if right.data == over[0]:
            left, right, sign = right, left, FLIPPED[sign]
        rest = [f for f in factors if f is not factor]
        used = union(*(f.vars for f in rest), () if kind == "sum" else value.vars)
        if left.data == over[0] and sign in ("<", "<=") and right.data not in used and (kind == "sum" or not rest):
            return Plan("prefix", rest if kind == "sum" else [value], last=right.data, sign=sign)
    return None


def scatter_plan(kind: str, over: tuple[Var, ...], factors: list[Node], value: Node, other: float) -> Plan | None:
    """Return a plan for a reduction with factors [index == v]."""
    if kind == "prod":
        return None
    places: dict[Var, Node] = {}
    rest = []
    for factor in factors:
        found = place_of(factor, set(over))
        users = [f for f in factors if f is not factor] + ([value] if kind != "sum" else [])
        if found and found[0] not in places and not any(found[0] in user.vars for user in users):
            places[found[0]] = found[1]
        else:
            rest.append(factor)
    if not places or (kind != "sum" and rest):
        return None
    if kind != "sum" and other != NEUTRAL[kind]:
        low, high = value.bounds or (-math.inf, math.inf)
        if (low < other) if kind == "max" else (high > other):
            return None
    return Plan("scatter", rest if kind == "sum" else [value], list(places.items()), other=other)


def place_of(factor: Node, over: set[Var]) -> tuple[Var, Node] | None:
    """Return v and e of a factor [v == e], where e depends on the variables of the reduction and v is none of them."""
    if factor.op != "==":
        return None
    for left, right in (factor.args, factor.args[::-1]):
        if left.op == "var" and left.data not in over and left.data not in right.vars and over & set(right.vars):
            return left.data, right
    return None


def count_plan(node: Node, factor: Node, over: tuple[Var, ...]) -> Plan:
    """Return a plan for a count of comparisons."""
    if factor.op not in FLIPPED or len(over) != 1 or math.prod(v.size for v in factor.vars) < WORTH_SORTING:
        return DENSE
    left, right = factor.args
    sign = factor.op
    if over[0] in right.vars:
        left, right, sign = right, left, FLIPPED[sign]
    if over[0] in right.vars or over[0] not in left.vars:
        return DENSE
    return Plan("count", [left, right], sign=sign)


def made_by(node: Node) -> tuple[list[Node], list[tuple[Var, ...]]]:
    """Return the nodes that computing a reduction computes, and the variables of other arrays it makes."""
    plan = plan_of(node)
    if plan.how == "dense":
        return list(node.args), []
    if plan.how != "scatter":
        return plan.parts, []
    places = [place for _, place in plan.places]
    points = union(*(place.vars for place in places))
    used = union(points, *(part.vars for part in plan.parts))
    return plan.parts + places, [tuple(v for v in used if v in points or v in node.vars)]


def reduce(node: Node, evaluator: Evaluator) -> Value:
    """Compute a reduction."""
    kind, over = node.data
    for v in over:
        piece = evaluator.pieces.get(v)
        start, stop = evaluator.range(v)
        if piece is not None and piece < stop - start:
            return in_pieces(node, v, piece, evaluator)
    plan = plan_of(node)
    if plan.how == "product":
        values = [real(evaluator.value(factor)) for factor in plan.parts]
        return contracted(values, node.vars, evaluator.eps, evaluator.with_rounding)
    if plan.how == "scatter":
        return scatter(node, plan, evaluator)
    if plan.how == "prefix":
        return prefix(node, plan, evaluator)
    if plan.how == "count":
        return count(node, plan, evaluator)
    return reduced(kind, evaluator.value(node.args[0]), over, node)


def real(value: Value) -> Value:
    """Return a value in float64."""
    return Value(np.asarray(number(value.array)).astype(np.float64, copy=False), value.error, value.vars)


def in_pieces(node: Node, v: Var, piece: int, evaluator: Evaluator) -> Value:
    """Compute a reduction some values of a variable at a time."""
    start, stop = evaluator.range(v)
    found = None
    for at in range(start, stop, piece):
        evaluator.set_range(v, (at, min(at + piece, stop)))
        part = reduce(node, evaluator)
        found = part if found is None else merged(node.data[0], found, part)
    evaluator.set_range(v, None if (start, stop) == (0, v.size) else (start, stop))
    assert found is not None
    return found


def steps(n: int) -> float:
    """Return how many roundings of its whole size a sum of n summands may suffer, added up pairwise or in blocks."""
    return 1.0 + math.log2(n) if n > 1 else 0.0


def reduced(kind: str, value: Value, over: tuple[Var, ...], node: Node) -> Value:
    """Reduce a value over the variables it has."""
    array, error = value.array, value.error
    axes = tuple(value.vars.index(v) for v in over if v in value.vars)
    n = math.prod(v.size for v in over)
    if kind == "sum":
        result = number(array).sum(axis=axes)
        if node.kind == "f":
            own = steps(n) * size_of(array).sum(axis=axes)
            error = own if error is None else own + error.sum(axis=axes)
        return Value(result, error, node.vars)
    if kind in ("any", "all"):
        return Value((np.any if kind == "any" else np.all)(array != 0, axis=axes), None, node.vars)
    if kind == "prod":
        result = array.prod(axis=axes)
        if node.kind != "f":
            return Value(result, None, node.vars)
        own = n * size_of(result)
        if error is not None:
            own = own + size_of(result) * relative(value).sum(axis=axes)
        return Value(result, own, node.vars)
    result = array.max(axis=axes) if kind == "max" else array.min(axis=axes)
    return Value(result, None if error is None else error.max(axis=axes), node.vars)


def relative(value: Value) -> Array:
    """Return the error of factors relative to their size."""
    error = 0.0 if value.error is None else value.error
    return np.where(error == 0, 0.0, error / np.maximum(np.abs(value.array), 1e-300))


def merged(kind: str, a: Value, b: Value) -> Value:
    """Return the reduction of two parts of a range."""
    if kind == "sum":
        return Value(a.array + b.array, plus(a.error, b.error), a.vars)
    if kind == "prod":
        result = a.array * b.array
        error = plus(*(None if y.error is None else y.error * size_of(x.array) for x, y in ((a, b), (b, a))))
        return Value(result, None if error is None else error + size_of(result), a.vars)
    combine = {"max": np.maximum, "min": np.minimum, "any": np.logical_or, "all": np.logical_and}[kind]
    error = None
    if a.error is not None or b.error is not None:
        error = np.maximum(0.0 if a.error is None else a.error, 0.0 if b.error is None else b.error)
    return Value(combine(a.array, b.array), error, a.vars)


def scatter(node: Node, plan: Plan, evaluator: Evaluator) -> Value:
    """Compute a reduction in which each element goes to one place of the result."""
    kind, over = node.data
    values = [real(evaluator.value(part)) for part in plan.parts]
    has = union((), *(value.vars for value in values))
    points = union(*(place.vars for _, place in plan.places))
    kept = tuple(v for v in union(points, has) if v in points or v in node.vars)
    if not values:
        rest = Value(np.asarray(1.0), None, ())
    elif kind == "sum":
        rest = contracted(values, tuple(v for v in kept if v in has), evaluator.eps, evaluator.with_rounding)
    else:
        (rest,) = values
        points = union(points, tuple(v for v in has if v in over))
    missing = [v for v in over if v not in points and v not in has]
    if missing and kind == "sum":
        rest = Value(rest.array * math.prod(evaluator.count(missing)), rest.error, rest.vars)
    others = tuple(v for v in union(kept, points) if v not in points)
    targets = [v for v in node.vars if v not in others]
    shape = evaluator.count(targets)
    flat, inside = places_of(targets, dict(plan.places), points, evaluator)
    flat = flat[inside]
    every = (*points, *others)
    size = math.prod(shape)

    def add_up(array: Array, how: Callable[..., Array]) -> Array:
        whole = spread(array, rest.vars, union(every)).transpose([union(every).index(v) for v in every])
        whole = np.broadcast_to(whole, evaluator.count(every))
        rows = whole[inside].reshape(len(flat), math.prod(evaluator.count(others)))
        found = how(flat, rows, size).reshape(shape + evaluator.count(others))
        return found.transpose([(*targets, *others).index(v) for v in node.vars])

    if kind != "sum":
        better = np.maximum if kind == "max" else np.minimum
        result = add_up(rest.array, lambda flat, rows, n: grouped(better, flat, rows, n, NEUTRAL[kind]))
        return Value(
            better(result, plan.other),
            None if rest.error is None else np.full_like(result, rest.error.max()),
            node.vars,
        )
    result = add_up(rest.array, added_up)
    error = None
    if evaluator.with_rounding:
        counts = add_up(np.ones(np.shape(rest.array)), added_up)
        error = np.where(counts > 1, 1.0 + np.log2(np.maximum(counts, 1)), 0.0) * add_up(size_of(rest.array), added_up)
        if rest.error is not None:
            error = error + add_up(rest.error, added_up)
    return Value(result, error, node.vars)


def places_of(
    targets: list[Var], chosen: dict[Var, Node], points: tuple[Var, ...], evaluator: Evaluator
) -> tuple[Array, Array]:
    """Return for every point its place among the targets, counted through, and whether it has one."""
    flat = np.zeros(evaluator.count(points), np.int64)
    inside = np.ones(flat.shape, bool)
    for v, n in zip(targets, evaluator.count(targets), strict=True):
        if v in chosen:
            place = evaluator.value(chosen[v])
            index = spread(place.array, place.vars, points)
            if index.dtype.kind == "f":
                inside &= np.floor(index) == index
                index = np.where(np.isfinite(index), index, -1).astype(np.int64)
            index = index - evaluator.range(v)[0]
            inside &= (index >= 0) & (index < n)
        else:
            index = spread(np.arange(n), (v,), points)
        flat = flat * n + index
    return flat, inside


def added_up(flat: Array, rows: Array, n: int) -> Array:
    """Return for each of n places the sum of the rows that go there."""
    if rows.shape[1] == 1:
        return np.bincount(flat, weights=rows[:, 0], minlength=n)[:, None]
    return grouped(np.add, flat, rows, n, 0.0)


def grouped(combine: np.ufunc, flat: Array, rows: Array, n: int, nothing: float) -> Array:
    """Return for each of n places the rows that go there, combined; `nothing` where none goes."""
    result = np.full((n, rows.shape[1]), nothing)
    if len(flat):
        order = np.argsort(flat, kind="stable")
        places, starts = np.unique(flat[order], return_index=True)
        result[places] = combine.reduceat(rows[order], starts, axis=0)
    return result


def prefix(node: Node, plan: Plan, evaluator: Evaluator) -> Value:
    """Compute a reduction over `j <= i` for all i by accumulating."""
    kind, (first,) = node.data
    last = plan.last
    assert last is not None
    values = [evaluator.value(part) for part in plan.parts]
    own = union((first,), *(value.vars for value in values))
    array: Any = np.ones(evaluator.count(own))
    error: Any = None
    for value in values:
        part, part_error = real(value).array, value.error
        if error is not None or part_error is not None:
            error = plus(
                None if error is None else error * np.abs(spread(part, value.vars, own)),
                None if part_error is None else spread(part_error, value.vars, own) * np.abs(array),
            )
        array = array * spread(part, value.vars, own)
    axis = own.index(first)
    start, stop = evaluator.range(first)
    place = np.arange(*evaluator.range(last)) - start - (plan.sign == "<")
    place = np.clip(place, -1, stop - start - 1)

    def taken(array: Array, nothing: float) -> Array:
        found = np.take(array, np.maximum(place, 0), axis=axis)
        shape = [1] * found.ndim
        shape[axis] = -1
        found = np.where((place < 0).reshape(shape), nothing, found)
        now = [last if v == first else v for v in own]
        return found.transpose([now.index(v) for v in node.vars])

    accumulate = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}[kind].accumulate
    result = taken(accumulate(array, axis=axis), NEUTRAL[kind])
    if not evaluator.with_rounding or node.kind != "f":
        return Value(result, None, node.vars)
    if kind == "sum":
        error = plus(
            steps(first.size) * np.cumsum(size_of(array), axis=axis),
            None if error is None else np.cumsum(error, axis=axis),
        )
    elif kind == "prod":
        ranks = np.ones_like(array) + relative(Value(array, error, own))
        error = size_of(np.cumprod(array, axis=axis)) * np.cumsum(ranks, axis=axis)
    elif error is not None:
        error = np.maximum.accumulate(error, axis=axis)
    return Value(result, None if error is None else taken(error, 0.0), node.vars)


def count(node: Node, plan: Plan, evaluator: Evaluator) -> Value:
    """Count for how many values of a variable a comparison holds, by sorting one side."""
    (first,) = node.data[1]
    sides = [evaluator.value(part) for part in plan.parts]
    batch = tuple(v for v in sides[0].vars if v != first)
    others = tuple(v for v in sides[1].vars if v not in batch)
    order = [sides[0].vars.index(v) for v in (*batch, first)]
    rows = real(sides[0]).array.transpose(order).reshape(-1, evaluator.count([first])[0])
    every = union(batch, others)
    asked = np.broadcast_to(spread(real(sides[1]).array, sides[1].vars, every), evaluator.count(every))
    asked = asked.transpose([every.index(v) for v in (*batch, *others)]).reshape(len(rows), -1)
    found = np.empty(asked.shape, np.int64)
    for n, row in enumerate(rows):
        row = np.sort(row)
        known = len(row) - int(np.isnan(row).sum())
        left, right = (np.searchsorted(row[:known], asked[n], side) for side in ("left", "right"))
        counts = {"<": left, "<=": right, ">": known - right, ">=": known - left, "==": right - left}
        counts["!="] = len(row) - counts["=="]
        nothing = len(row) if plan.sign == "!=" else 0
        found[n] = np.where(np.isnan(asked[n]), nothing, counts[plan.sign])
    result = found.reshape(evaluator.count((*batch, *others)))
    return Value(result.transpose([(*batch, *others).index(v) for v in node.vars]), None, node.vars)
