"""A bound tree as whole arrays: values in float64, and beside each how far rounding may move it.

Every node is computed on its own variables only, so `max(j: x[i,j])` is a column however often it is used.

The rounding is a running error analysis (N. Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section
3.3) in units of the dtype's eps: an operand is exact, each operation adds its own value and what it does to
the errors of its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cutaway.microscope.bound_tree import Node, Var, affine
from cutaway.microscope.formula_functions import FUNCTIONS, number
from cutaway.microscope.formula_syntax import output_number
from cutaway.microscope.reductions import reduce
from cutaway.microscope.values import Array, Value, size_of, spread, union


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
            return reduce(node, self)
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
        if op == "rounded":
            own = own * (args[1] if len(args) > 1 else 1.0)
        elif op not in ("+", "-", "*", "/"):
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


def is_power_of_two(value: Any) -> bool:
    """Return whether multiplying by a number rounds nothing."""
    return value != 0 and math.isfinite(value) and abs(math.frexp(value)[0]) == 0.5


def is_result(name: str) -> bool:
    """Return whether a name is that of a recorded result, which was rounded."""
    return output_number(name.removesuffix(".flat")) is not None
