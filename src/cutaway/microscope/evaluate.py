"""A bound tree as whole arrays: values in float64, and beside each how far rounding may move it.

Every node is computed on its own variables only, so `max(j: x[i,j])` is a column however often it is used. A sum over a
product becomes matrix products of factors each gathered on its own variables; one with a factor `[index == v]`
adds up into places. Results too large for memory are computed in pieces.

The rounding is a running error analysis (N. Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section
3.3) in units of the dtype's eps: an operand is exact, each operation adds its own value and what it does to
the errors of its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cutaway.microscope.binding import Node, Tree, Var, affine, factors_of, output_number
from cutaway.microscope.formula_functions import FUNCTIONS, number

Array = np.ndarray[Any, Any]
Float = np.float64
LARGEST = 1e300
"""Errors of infinite numbers; a finite stand-in, so that 0 times it is 0."""

SMALL_PIECE = 1 << 17
"""Elements of a temporary of elementwise arithmetic: fits the processor's cache."""
LARGE_PIECE = 1 << 22
"""Elements of a factor of a matrix product."""


class Value(NamedTuple):
    """What a node is, on its own variables."""

    array: Array
    error: Array | None
    """In units of eps; None: exact."""
    vars: tuple[Var, ...]


def spread(array: Array, own: tuple[Var, ...], over: Sequence[Var]) -> Array:
    """Return the array with axes of size 1 for the variables it does not depend on."""
    if len(own) == len(over):
        return array
    return array[tuple(slice(None) if v in own else None for v in over)]


def union(*parts: tuple[Var, ...]) -> tuple[Var, ...]:
    """Return all variables, in order."""
    return tuple(sorted(set().union(*parts)))


def size_of(value: Array) -> Array:
    """Return the absolute value, infinities made finite."""
    return np.minimum(np.abs(value), LARGEST)


class Evaluator:
    """Computes nodes for one operation's operands."""

    def __init__(self, arrays: dict[str, Any], eps: float = 0.0, with_rounding: bool = True) -> None:
        self.arrays = arrays
        self.eps = eps
        self.with_rounding = with_rounding
        self.ranges: dict[Var, tuple[int, int]] = {}
        """The part of a variable's range being computed, where it is not all of it."""
        self.known: dict[Node, Value] = {}
        self.pieces: dict[Var, int] = {}
        """How many values of a variable to compute at a time."""
        self.tables: dict[int, Array] = {}

    # Ranges

    def range(self, var: Var) -> tuple[int, int]:
        """Return the part of a variable's range being computed."""
        return self.ranges.get(var, (0, var.size))

    def count(self, variables: Sequence[Var]) -> list[int]:
        """Return how many values each variable has here."""
        return [stop - start for start, stop in map(self.range, variables)]

    def set_range(self, var: Var, span: tuple[int, int] | None) -> None:
        """Compute another part of a variable's range from now on."""
        if span is None:
            self.ranges.pop(var, None)
        else:
            self.ranges[var] = span
        for node in [node for node in self.known if var in node.vars]:
            del self.known[node]

    # Nodes

    def value(self, node: Node) -> Value:
        """Return a node's value on its own variables."""
        found = self.known.get(node)
        if found is None:
            found = self.known[node] = self.compute(node)
        return found

    def compute(self, node: Node) -> Value:
        """Compute a node."""
        op = node.op
        if op == "read":
            return self.read(node)
        if op == "number":
            exact = (
                node.kind != "f"
                or not self.with_rounding
                or not math.isfinite(node.data)
                or float(np.float32(node.data)) == node.data
            )
            return Value(np.asarray(node.data), None if exact else np.asarray(abs(node.data)), ())
        if op == "reduce":
            return self.reduce(node)
        if op == "var":
            return Value(np.arange(*self.range(node.data)), None, node.vars)
        if op == "where":
            return self.where(node)
        if op == "total":
            return self.total(node)
        if op == "inside":
            return self.inside(node)
        if op == "table":
            (var,) = node.vars
            return Value(self.tables[node.data][slice(*self.range(var))], None, node.vars)
        return self.function(node)

    def function(self, node: Node) -> Value:
        """Compute a function of one or two nodes."""
        rule = FUNCTIONS[node.op]
        values = [self.value(arg) for arg in node.args]
        args = [spread(v.array, v.vars, node.vars) for v in values]
        if node.kind != "b":
            args = [number(a) for a in args]
        result = rule.compute(*args)
        if not self.with_rounding or node.kind != "f":
            return Value(result, None, node.vars)
        errors = [None if v.error is None else spread(v.error, v.vars, node.vars) for v in values]
        return Value(result, self.error(node, rule, args, errors, result), node.vars)

    def error(
        self, node: Node, rule: Any, args: list[Array], errors: list[Array | None], result: Array
    ) -> Array | None:
        """Return the rounding error of a function's value."""
        known = [e for e in errors if e is not None]
        op = node.op
        if op in ("%", "fmod", "//"):  # exact in real numbers, but not of the same precision
            known.append(size_of(result))
        if rule.is_exact:
            if op in ("min", "max", "abs", "neg", "frac", "%", "fmod", "//") and known:
                return known[0] if len(known) == 1 else np.maximum(known[0], known[1])
            return None
        total: Array | None = None
        for n, e in enumerate(errors):
            if e is None:
                continue
            if op in ("+", "-"):
                part = e
            elif op == "*":
                part = e * size_of(args[1 - n])
                if n == 1 and errors[0] is not None:
                    part = part + self.eps * e * errors[0]
            elif op == "/" and n == 0:
                part = e / np.abs(args[1])
            else:
                slope = np.abs(rule.slopes[n](*args, result)) if n < len(rule.slopes) else 0.0
                part = np.where(e == 0, 0.0, slope * e)
            total = part if total is None else total + part
        if op == "*" and any(arg.kind == "b" for arg in node.args):
            return total
        if op == "*" and any(arg.op == "number" and is_power_of_two(arg.data) for arg in node.args):
            return total
        if op == "/" and node.args[1].op == "number" and is_power_of_two(node.args[1].data):
            return total
        own = size_of(result)
        if op not in ("+", "-", "*", "/", "rounded"):
            own = own * 2.0
        if op in ("lgamma", "digamma"):  # near their zeros they are differences
            own = own + 1.0
        return own if total is None else total + own

    def where(self, node: Node) -> Value:
        """Compute `value if condition else other`."""
        condition, *branches = (self.value(arg) for arg in node.args)
        test = spread(condition.array, condition.vars, node.vars) != 0
        arrays = [spread(v.array, v.vars, node.vars) for v in branches]
        error = None
        if any(v.error is not None for v in branches):
            errors = [0.0 if v.error is None else spread(v.error, v.vars, node.vars) for v in branches]
            error = np.where(test, *errors)
        return Value(np.where(test, *arrays), error, node.vars)

    def total(self, node: Node) -> Value:
        """Compute a sum of reads that may cover different parts of the result (joining arrays)."""
        result = np.zeros(self.count(node.vars), np.float64 if node.kind == "f" else np.int64)
        error: Array | None = None
        taken = np.zeros(result.shape, bool) if self.with_rounding else None
        for arg in node.args:
            is_plain = arg.op == "read" and all(affine(index) for index in arg.args)
            where = self.support(arg, node.vars) if is_plain else tuple(slice(None) for _ in node.vars)
            if where is None:
                continue
            saved = dict(self.ranges)
            part = self.narrowed(arg, node.vars, where) if is_plain else self.value(arg)
            self.ranges = saved
            result[where] += number(spread(part.array, part.vars, node.vars))
            if taken is not None:
                own = np.where(taken[where], size_of(result[where]), 0.0)
                if part.error is not None:
                    own = own + spread(part.error, part.vars, node.vars)
                if error is None and own.any():
                    error = np.zeros(result.shape)
                if error is not None:
                    error[where] += own
                taken[where] = True
        return Value(result, error, node.vars)

    def support(self, node: Node, over: tuple[Var, ...]) -> tuple[slice, ...] | None:
        """Return for which part of the current ranges a read is inside its array, as far as single variables tell."""
        spans = {v: self.range(v) for v in over}
        for index, size in zip(node.args, self.arrays[node.data[0]].shape, strict=True):
            form = affine(index)
            if form is None or len(form[0]) > 1:
                continue
            (coefficients, constant) = form
            if not coefficients:
                if not 0 <= constant < size:
                    return None
                continue
            ((v, n),) = coefficients.items()
            if n == 1:
                start, stop = spans[v]
                spans[v] = (max(start, -constant), min(stop, size - constant))
                if spans[v][0] >= spans[v][1]:
                    return None
        return tuple(slice(spans[v][0] - self.range(v)[0], spans[v][1] - self.range(v)[0]) for v in over)

    def narrowed(self, node: Node, over: tuple[Var, ...], where: tuple[slice, ...]) -> Value:
        """Return a read on a part of the current ranges."""
        for v, part in zip(over, where, strict=True):
            start = self.range(v)[0]
            self.ranges[v] = (start + part.start, start + part.stop) if part.start is not None else self.range(v)
        return self.read(node)

    # Reading arrays

    def array(self, name: str) -> Array:
        """Return an operand; `x.*` is a list of arrays of the same shape as one."""
        found = self.arrays[name]
        if isinstance(found, (list, tuple)):
            found = self.arrays[name] = np.stack(found)
        return found

    def array_named(self, name: str) -> Array:
        """Return an operand by the name a term gives it."""
        return np.asarray(self.arrays[name])

    def read(self, node: Node) -> Value:
        """Gather the elements of an array that a read needs."""
        name, outside = node.data
        array = self.array(name)
        forms = [affine(index) for index in node.args]
        gathered = [axis for axis, form in enumerate(forms) if form is None]
        straight = [axis for axis, form in enumerate(forms) if form is not None]
        starts, strides = [0] * array.ndim, dict.fromkeys(node.vars, 0)
        section: list[slice] = [slice(None)] * array.ndim
        needs_border = False
        spans = {}
        for axis in straight:
            coefficients, low = forms[axis]  # type: ignore[misc]
            high = low
            for v, n in coefficients.items():
                first, last = self.range(v)[0], self.range(v)[1] - 1
                low += min(n * first, n * last)
                high += max(n * first, n * last)
            spans[axis] = (low, high)
            needs_border |= low < 0 or high >= array.shape[axis]
        if needs_border:
            array, shifts = bordered(array, spans, outside)
        else:
            shifts = dict.fromkeys(straight, 0)
        for axis in straight:
            coefficients, constant = forms[axis]  # type: ignore[misc]
            starts[axis] = constant - shifts[axis] + sum(n * self.range(v)[0] for v, n in coefficients.items())
            section[axis] = slice(starts[axis], None)
            for v, n in coefficients.items():
                strides[v] += n * array.strides[axis]
        own = [v for v in node.vars if any(v in forms[axis][0] for axis in straight)]  # type: ignore[index]
        base = array[tuple(section)]
        view = as_strided(
            base,
            [array.shape[axis] for axis in gathered] + self.count(own),
            [array.strides[axis] for axis in gathered] + [strides[v] for v in own],
            writeable=False,
        )
        if gathered:
            view = self.gather(node, view, gathered, own, outside)
        if view.dtype.kind == "f":
            view = view.astype(np.float64, copy=False)
        elif view.dtype.kind in "iu":
            view = view.astype(np.int64, copy=False)
        error = None
        if self.with_rounding and is_result(name) and view.dtype.kind == "f":
            error = size_of(view)
        return Value(view, error, node.vars)

    def gather(self, node: Node, view: Array, gathered: list[int], own: list[Var], outside: float) -> Array:
        """Look up the axes whose index is itself computed.

        Args:
            view: the gathered axes first, then one for each of the variables `own`.
        """
        indices = [self.value(node.args[axis]) for axis in gathered]
        over = union(*(index.vars for index in indices))
        inside: Any = True
        places: list[Any] = []
        for n, index in enumerate(indices):
            place = spread(index.array, index.vars, over)
            size = view.shape[n]
            if place.dtype.kind == "f":
                whole = np.floor(np.where(np.isfinite(place), place, -1.0))
                inside = inside & (whole == place)
                place = whole.astype(np.int64)
            elif place.dtype == bool:
                place = place.astype(np.int64)
            if place.size and (place.min() < 0 or place.max() >= size):
                inside = inside & (place >= 0) & (place < size)
                place = np.clip(place, 0, max(size - 1, 0))
            places.append(place)
        both = [v for v in own if v in over]
        rest = [v for v in own if v not in over]
        for v in both:
            shape = [1] * len(over)
            shape[over.index(v)] = -1
            places.append(np.arange(view.shape[len(gathered) + own.index(v)]).reshape(shape))
        order = [*range(len(gathered)), *(len(gathered) + own.index(v) for v in [*both, *rest])]
        found = view.transpose(order)
        if 0 in [view.shape[n] for n in range(len(gathered))]:
            found = np.full((*self.count(over), *self.count(rest)), outside)
        else:
            found = found[tuple(places)]
        if inside is not True and not np.all(inside):
            inside = np.broadcast_to(inside, found.shape[: len(over)])
            found = np.where(inside.reshape(inside.shape + (1,) * len(rest)), found, outside)
        now = [*over, *rest]
        return found.transpose([now.index(v) for v in node.vars])

    def inside(self, node: Node) -> Value:
        """Compute whether an index lies inside an array."""
        found: Any = np.True_
        for index, size in zip(node.args, node.data, strict=True):
            value = self.value(index)
            place = spread(value.array, value.vars, node.vars)
            found = found & (place >= 0) & (place < size) & (place == np.floor(place))
        return Value(np.asarray(found), None, node.vars)

    # Reductions

    def reduce(self, node: Node) -> Value:
        """Compute a sum, maximum and so on."""
        kind, over = node.data
        (body,) = node.args
        for v in over:
            piece = self.pieces.get(v)
            start, stop = self.range(v)
            if piece is not None and piece < stop - start:
                return self.in_pieces(node, v, piece)
        if kind == "sum":
            plan = plan_of(node)
            if plan is not None:
                return self.sum_of_product(node, plan)
        value = self.value(body)
        over = tuple(v for v in over if v in value.vars)
        axes = tuple(value.vars.index(v) for v in over)
        return reduced(kind, value, axes, node)

    def in_pieces(self, node: Node, v: Var, piece: int) -> Value:
        """Compute a reduction some values of a variable at a time."""
        start, stop = self.range(v)
        found = None
        for at in range(start, stop, piece):
            self.set_range(v, (at, min(at + piece, stop)))
            self.known.pop(node, None)
            part = self.reduce(node)
            found = part if found is None else merged(node.data[0], found, part)
        self.set_range(v, None if (start, stop) == (0, v.size) else (start, stop))
        assert found is not None
        return found

    def sum_of_product(self, node: Node, plan: Plan) -> Value:
        """Compute a sum over a product of factors."""
        values = [self.value(factor) for factor in plan.factors]
        values = [Value(number(v.array).astype(np.float64, copy=False), v.error, v.vars) for v in values]
        if plan.places:
            return self.scatter(node, plan, values)
        return contracted(values, node.vars, self)

    def scatter(self, node: Node, plan: Plan, values: list[Value]) -> Value:
        """Compute a sum in which each summand goes to one place of the result."""
        points = union(*(place.vars for _, place in plan.places))
        kept = tuple(v for v in union(points, *(v.vars for v in values)) if v in points or v in node.vars)
        if values:
            rest = contracted(values, tuple(v for v in kept if v in union(*(x.vars for x in values))), self)
        else:
            rest = Value(np.asarray(1.0), None, ())
        missing = [v for v in node.data[1] if v not in points and not any(v in x.vars for x in values)]
        if missing:
            rest = Value(rest.array * math.prod(self.count(missing)), rest.error, rest.vars)
        others = tuple(v for v in kept if v not in points)
        targets = [v for v in node.vars if v not in others]
        chosen = dict(plan.places)
        shape = self.count(targets)
        point_shape = self.count(points)
        flat = np.zeros(point_shape, np.int64)
        inside = np.ones(point_shape, bool)
        for v, n in zip(targets, shape, strict=True):
            if v in chosen:
                place = self.value(chosen[v])
                index = spread(place.array, place.vars, points)
                if index.dtype.kind == "f":
                    inside &= np.floor(index) == index
                    index = np.where(np.isfinite(index), index, -1).astype(np.int64)
                index = index - self.range(v)[0]
                inside &= (index >= 0) & (index < n)
            else:
                index = spread(np.arange(n), (v,), points)
            flat = flat * n + index
        every = (*points, *others)
        flat = flat[inside]

        def add_up(array: Array) -> Array:
            whole = spread(array, rest.vars, union(every))
            order = [union(every).index(v) for v in every]
            whole = np.broadcast_to(whole.transpose(order), point_shape + self.count(others))
            rows = whole[inside].reshape(len(flat), math.prod(self.count(others)))
            return added_up(flat, rows, math.prod(shape)).reshape(shape + self.count(others))

        now = [*targets, *others]
        order = [now.index(v) for v in node.vars]
        result = add_up(rest.array).transpose(order)
        error = None
        if self.with_rounding:
            counts = np.bincount(flat, minlength=math.prod(shape)).reshape(shape + [1] * len(others))
            factor = 1.0 + np.log2(np.maximum(counts, 1)) if counts.max(initial=0) > 1 else np.zeros(counts.shape)
            error = (factor * add_up(size_of(rest.array))).transpose(order)
            if rest.error is not None:
                error = error + add_up(rest.error).transpose(order)
        return Value(result, error, node.vars)


class Plan(NamedTuple):
    """How to compute a sum over a product."""

    factors: list[Node]
    places: list[tuple[Var, Node]]
    """Variables of the result that a factor [variable == index] sets, and the indices."""


PLANS: dict[int, tuple[Node, Plan | None]] = {}


def plan_of(node: Node) -> Plan | None:
    """Return how to compute a sum over a product, or None to compute the product as a whole first."""
    found = PLANS.get(id(node))
    if found is not None and found[0] is node:
        return found[1]
    if len(PLANS) > 10_000:
        PLANS.clear()
    plan = make_plan(node)
    PLANS[id(node)] = (node, plan)
    return plan


def make_plan(node: Node) -> Plan | None:
    """Find how to compute a sum over a product."""
    over = set(node.data[1])
    pairs = factors_of(node.args[0])
    if any(divides for _, divides in pairs):
        return None
    factors = [factor for factor, _ in pairs]
    places: dict[Var, Node] = {}
    rest = []
    for factor in factors:
        found = place_of(factor, over)
        others = [other for other in factors if other is not factor]
        if found and found[0] not in places and not any(found[0] in other.vars for other in others):
            places[found[0]] = found[1]
        else:
            rest.append(factor)
    if places:
        return Plan(rest, list(places.items()))
    whole = math.prod(v.size for v in node.args[0].vars)
    largest = max(math.prod(v.size for v in factor.vars) for factor in factors)
    return Plan(factors, []) if len(factors) > 1 and whole > largest else None


def place_of(factor: Node, over: set[Var]) -> tuple[Var, Node] | None:
    """Return v and e of a factor [v == e], where e depends on the variables of the sum and v is none of them."""
    if factor.op != "==":
        return None
    for left, right in (factor.args, factor.args[::-1]):
        if left.op == "var" and left.data not in over and left.data not in right.vars and over & set(right.vars):
            return left.data, right
    return None


def bordered(array: Array, spans: dict[int, tuple[int, int]], outside: float) -> tuple[Array, dict[int, int]]:
    """Return the part of an array within spans of some axes, what is outside it filled in, and where it begins."""
    shape, source, target, shifts = list(array.shape), [slice(None)] * array.ndim, [slice(None)] * array.ndim, {}
    for axis, (low, high) in spans.items():
        shape[axis] = high - low + 1
        first, last = max(low, 0), max(min(high + 1, array.shape[axis]), max(low, 0))
        source[axis] = slice(first, last)
        target[axis] = slice(first - low, last - low)
        shifts[axis] = low
    plain = outside == 0 or array.dtype.kind == "f"
    result = np.full(shape, outside, array.dtype if plain else np.float64)
    if all(s.stop is None or s.stop > s.start for s in source):
        result[tuple(target)] = array[tuple(source)]
    return result, shifts


def reduced(kind: str, value: Value, axes: tuple[int, ...], node: Node) -> Value:
    """Reduce a value along axes."""
    array, error = value.array, value.error
    n = math.prod(v.size for v in node.data[1])
    if kind == "sum":
        if array.dtype == bool:
            array = array.astype(np.int64)
        result = array.sum(axis=axes)
        if node.kind == "f":
            own = (1.0 + math.log2(max(n, 1))) * size_of(array).sum(axis=axes)
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
            relative = np.where(error == 0, 0.0, error / np.maximum(np.abs(array), 1e-300))
            own = own + size_of(result) * relative.sum(axis=axes)
        return Value(result, own, node.vars)
    result = array.max(axis=axes) if kind == "max" else array.min(axis=axes)
    return Value(result, None if error is None else error.max(axis=axes), node.vars)


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


def plus(a: Array | None, b: Array | None) -> Array | None:
    """Return the sum of two errors."""
    return b if a is None else a if b is None else a + b


def contracted(values: list[Value], keep: tuple[Var, ...], evaluator: Evaluator) -> Value:
    """Return the sum of a product of factors over all variables but those to keep."""
    own = union(*(value.vars for value in values))
    summed = [v for v in own if v not in keep]
    result = contraction([(value.array, value.vars) for value in values], keep)
    if not evaluator.with_rounding:
        return Value(result, None, keep)
    n = math.prod(v.size for v in summed)
    sizes = [(narrow(value.array), value.vars) for value in values]
    terms = widen(
        contraction([(array, vars_) for (array, _), vars_ in sizes], keep), [scale for (_, scale), _ in sizes]
    )
    steps = len(values) - 1 - sum(v.array.dtype == bool for v in values)
    error = (max(steps, 0) + (1.0 + math.log2(n) if n > 1 else 0.0)) * terms
    for at, value in enumerate(values):
        if value.error is not None:
            parts = []
            for k, other in enumerate(values):
                size = other.array
                if k == at:
                    size = value.error
                elif k < at and other.error is not None:
                    size = np.abs(size) + evaluator.eps * other.error
                parts.append(narrow(size))
            arrays = [(array, other.vars) for (array, _), other in zip(parts, values, strict=True)]
            error = error + widen(contraction(arrays, keep), [scale for _, scale in parts])
    return Value(result, error, keep)


def narrow(array: Array) -> tuple[Array, float]:
    """Return absolute values in float32, which is enough for the size of an error, and what they were divided by."""
    size = np.abs(array)
    scale = float(size.max(initial=0.0))
    if not 0.0 < scale < math.inf:
        return np.minimum(size, 1e30).astype(np.float32), 1.0
    return (size / scale).astype(np.float32), scale


def widen(array: Array, scales: list[float]) -> Array:
    """Return the product of narrowed arrays as it is."""
    return array.astype(np.float64) * math.prod(scales) * (1.0 + 1e-3)


def contraction(factors: list[tuple[Array, tuple[Var, ...]]], keep: tuple[Var, ...]) -> Array:
    """Return the sum of a product over all variables but those to keep, two factors at a time, by matrix products."""
    factors = list(factors)
    while len(factors) > 1:
        pairs = [(a, b) for a in range(len(factors)) for b in range(a + 1, len(factors))]
        a, b = min(pairs, key=lambda pair: cost(factors, pair, keep)) if len(pairs) > 1 else pairs[0]
        other = factors.pop(b)
        one = factors.pop(a)
        needed = set(keep).union(*(vars_ for _, vars_ in factors))
        factors.append(matmul(one, other, needed))
    array, own = factors[0]
    axes = tuple(n for n, v in enumerate(own) if v not in keep)
    if axes:
        array = array.sum(axis=axes)
    return array


def cost(factors: list[tuple[Array, tuple[Var, ...]]], pair: tuple[int, int], keep: tuple[Var, ...]) -> float:
    """Return how many elements the product of two factors has."""
    needed = set(keep).union(*(vars_ for n, (_, vars_) in enumerate(factors) if n not in pair))
    sizes: dict[Var, int] = {}
    for n in pair:
        array, vars_ = factors[n]
        sizes.update(zip(vars_, array.shape, strict=True))
    result = math.prod(n for v, n in sizes.items() if v in needed)
    return result + math.prod(sizes.values()) * 1e-3


def matmul(
    one: tuple[Array, tuple[Var, ...]], other: tuple[Array, tuple[Var, ...]], needed: set[Var]
) -> tuple[Array, tuple[Var, ...]]:
    """Return the product of two factors, summed over the variables nobody else needs."""
    (a, a_vars), (b, b_vars) = sum_alone(*one, other[1], needed), sum_alone(*other, one[1], needed)
    batch = [v for v in a_vars if v in b_vars and v in needed]
    inner = [v for v in a_vars if v in b_vars and v not in needed]
    over = union(a_vars, b_vars)
    if not inner:
        return spread(a, a_vars, over) * spread(b, b_vars, over), over
    rows = [v for v in a_vars if v not in b_vars]
    columns = [v for v in b_vars if v not in a_vars]
    sizes = dict(zip(a_vars, a.shape, strict=True)) | dict(zip(b_vars, b.shape, strict=True))

    def arranged(array: Array, own: tuple[Var, ...], first: list[Var], second: list[Var]) -> Array:
        array = array.transpose([own.index(v) for v in [*batch, *first, *second]])
        shape = [sizes[v] for v in batch] + [math.prod(sizes[v] for v in first), math.prod(sizes[v] for v in second)]
        return array.reshape(shape)

    product = np.matmul(arranged(a, a_vars, rows, inner), arranged(b, b_vars, inner, columns))
    now = [*batch, *rows, *columns]
    product = product.reshape([sizes[v] for v in now])
    result = union(tuple(now))
    return product.transpose([now.index(v) for v in result]), result


def sum_alone(
    array: Array, own: tuple[Var, ...], other: tuple[Var, ...], needed: set[Var]
) -> tuple[Array, tuple[Var, ...]]:
    """Sum an array over its variables that neither the other factor nor anybody else has."""
    axes = tuple(n for n, v in enumerate(own) if v not in other and v not in needed)
    if not axes:
        return array, own
    return array.sum(axis=axes), tuple(v for n, v in enumerate(own) if n not in axes)


def added_up(flat: Array, rows: Array, n: int) -> Array:
    """Return for each of n places the sum of the rows that go there."""
    if rows.shape[1] == 1:
        return np.bincount(flat, weights=rows[:, 0], minlength=n)[:, None]
    result = np.zeros((n, rows.shape[1]))
    if len(flat):
        order = np.argsort(flat, kind="stable")
        places, starts = np.unique(flat[order], return_index=True)
        result[places] = np.add.reduceat(rows[order], starts, axis=0)
    return result


def is_power_of_two(value: Any) -> bool:
    """Return whether multiplying by a number rounds nothing."""
    return value != 0 and math.isfinite(value) and abs(math.frexp(value)[0]) == 0.5


# Whole results


def footprints(root: Node) -> list[tuple[Var, ...]]:
    """Return the variables of every array that computing a tree makes."""
    found: list[tuple[Var, ...]] = []
    seen: set[Node] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        found.append(node.vars)
        plan = plan_of(node) if node.op == "reduce" and node.data[0] == "sum" else None
        if plan is None:
            stack.extend(node.args)
        else:
            stack.extend(plan.factors)
            stack.extend(place for _, place in plan.places)
            if plan.places:
                points = union(*(place.vars for _, place in plan.places))
                used = union(points, *(factor.vars for factor in plan.factors))
                found.append(tuple(v for v in used if v in points or v in node.vars))
    return found


def piece_sizes(root: Node, result: Sequence[Var], arrays: dict[str, Any]) -> dict[Var, int]:
    """Return how many values of each variable to compute at a time so that no array becomes too large.

    What lies furthest apart in memory is cut first, so that each piece reads whole rows.
    """
    apart: dict[Var, int] = {}
    has_products = False
    for node in root.walk():
        if node.op == "read" and isinstance(arrays[node.data[0]], np.ndarray):
            for index, stride in zip(node.args, arrays[node.data[0]].strides, strict=True):
                for v, n in (affine(index) or ({}, 0))[0].items():
                    apart[v] = max(apart.get(v, 0), abs(n * stride))
        has_products |= node.op == "reduce" and node.data[0] == "sum" and plan_of(node) is not None
    most = LARGE_PIECE if has_products else SMALL_PIECE
    made = set(footprints(root))
    sizes = {v: v.size for variables in made for v in variables}
    for variables in sorted(made):
        while math.prod(sizes[v] for v in variables) > most:
            cut = max((v for v in variables if sizes[v] > 1), key=lambda v: (apart.get(v, 0), v in result))
            excess = math.prod(sizes[v] for v in variables) / most
            sizes[cut] = max(1, math.ceil(sizes[cut] / max(excess, 2)))
    return {v: n for v, n in sizes.items() if n < v.size}


def is_result(name: str) -> bool:
    """Return whether a name is that of a recorded result, which was rounded."""
    return output_number(name.removesuffix(".flat")) is not None


def pieces(bound: Tree, evaluator: Evaluator) -> Iterator[tuple[tuple[slice, ...], Array, Array]]:
    """Yield the parts of a result: where, values and rounding, on the axes of the result."""
    variables = [v for v in bound.axes if v is not None]
    evaluator.pieces = piece_sizes(bound.root, variables, evaluator.arrays)

    def go(left: list[Var]) -> Iterator[None]:
        if not left:
            yield
            return
        v, rest = left[0], left[1:]
        step = evaluator.pieces.get(v, v.size)
        if step >= v.size:
            yield from go(rest)
            return
        for start in range(0, v.size, step):
            evaluator.set_range(v, (start, min(start + step, v.size)))
            yield from go(rest)
        evaluator.set_range(v, None)

    for _ in go(variables):
        value = evaluator.value(bound.root)
        shape = [1 if v is None else evaluator.count([v])[0] for v in bound.axes]
        own = tuple(slice(None) if v is not None and v in value.vars else None for v in bound.axes)
        array = np.broadcast_to(np.asarray(value.array)[own], shape)
        if value.error is None:
            rounding = np.broadcast_to(np.zeros(()), shape)
        else:
            rounding = np.broadcast_to(np.asarray(value.error)[own], shape)
        where = tuple(slice(0, 1) if v is None else slice(*evaluator.range(v)) for v in bound.axes)
        yield where, array, rounding


def whole(bound: Tree, evaluator: Evaluator) -> tuple[Array, Array]:
    """Return a whole result and how far rounding may move it."""
    shape = tuple(1 if v is None else v.size for v in bound.axes)
    values = np.zeros(shape, np.float64 if bound.root.kind == "f" else np.int64)
    rounding = np.zeros(shape)
    if values.size:
        with np.errstate(all="ignore"):
            for where, part, error in pieces(bound, evaluator):
                values[where] = part
                rounding[where] = error
        rounding[np.isnan(rounding)] = 0.0
    return values.reshape(bound.shape), rounding.reshape(bound.shape)
