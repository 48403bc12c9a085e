"""One element of a result: its value, and what it was made of.

Where the formula is a sum of products, each product is a term and the terms add up to the value:

    out[i,j] = sum(k: self[i,k] * mat2[k,j])      a term per k: value, operand self[i,k], its weight mat2[k,j]

Anything else is a function of the elements it reads: the weight is the derivative by that element (computed backwards
through the tree), and a term's value is weight times element, its first-order share, which need not add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from cutaway.microscope.binding import Node, Nodes, Tree, Var
from cutaway.microscope.evaluate import Evaluator, spread, union
from cutaway.microscope.formula_functions import FUNCTIONS, number

Array = np.ndarray[Any, Any]

MOST_TERMS = 1 << 18
"""Of more terms than this only the largest are kept, and what the others add up to."""
KEPT_TERMS = 1 << 12


class Term(NamedTuple):
    """One contribution to an element."""

    value: float
    weight: float
    """What the element read is multiplied by, or the derivative by it."""
    operand: str
    """The argument's name, `tensors.3` in a list, or `out1` for another result."""
    index: tuple[int, ...]  # type: ignore[assignment]
    others: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """The elements the weight is made of, if it is a product of elements."""


@dataclass
class Column:
    """Terms of the same kind, as arrays."""

    operand: str
    values: Array
    weights: Array
    places: Array
    """The index of each term's element, one row per axis."""
    others: list[tuple[str, Array]] = field(default_factory=list)

    def term(self, n: int) -> Term:
        """Return one term."""
        others = tuple((name, tuple(places[:, n].tolist())) for name, places in self.others)
        return Term(
            self.values[n].item(), self.weights[n].item(), self.operand, tuple(self.places[:, n].tolist()), others
        )

    def terms(self) -> Iterator[Term]:
        """Yield all terms."""
        others: Any = [[(name, tuple(one)) for one in places.T.tolist()] for name, places in self.others]
        others = zip(*others, strict=True) if others else [()] * len(self.values)
        rows = zip(self.values.tolist(), self.weights.tolist(), self.places.T.tolist(), others, strict=True)
        for value, weight, place, other in rows:
            yield Term(value, weight, self.operand, tuple(place), tuple(other))

    def largest(self, most: int) -> Column:
        """Return the terms of largest size."""
        order = np.argpartition(-np.abs(self.values), most - 1)[:most]
        others = [(name, places[:, order]) for name, places in self.others]
        return Column(self.operand, self.values[order], self.weights[order], self.places[:, order], others)


@dataclass
class At:
    """One element of a result, recomputed."""

    value: float | None
    """In float64; None if there is nothing to recompute."""
    kind: str
    """`sum of products`: the terms, the constant and the rest add up to the value; `function`: the terms are first-order
    shares; `drawn`, `unset` or `missing`: nothing to recompute."""
    rounding: float = 0.0
    """How far rounding may have moved the recorded number, in units of eps."""
    constant: float = 0.0
    """What is added that does not come from an operand."""
    rest: float = 0.0
    """What the terms left out add up to (of very long sums only the largest terms are kept)."""
    rest_count: int = 0
    columns: list[Column] = field(default_factory=list)
    writer: Any = None

    @cached_property
    def terms(self) -> list[Term]:
        """All terms, in the order of the formula."""
        return [term for column in self.columns for term in column.terms()]

    def largest(self, most: int) -> list[Term]:
        """Return the largest terms, largest first."""
        near = [c.largest(most) if len(c.values) > most else c for c in self.columns]
        return sorted((term for column in near for term in column.terms()), key=lambda term: -abs(term.value))[:most]

    @cached_property
    def numbers(self) -> str:
        """The formula with numbers put in, long sums cut."""
        return self.writer(self) if self.writer is not None else self.kind


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
    with np.errstate(all="ignore"):
        value = evaluator.value(bound.root)
        error = 0.0 if value.error is None else float(np.asarray(value.error).item())
        result = At(np.asarray(value.array).item(), "function", 0.0 if math.isnan(error) else error)
        parts = parts_of(bound.root, evaluator)
        if parts is not None and (
            any(f.op == "read" for part in parts for f in part.factors) or not reads_in(bound.root)
        ):
            result.kind = "sum of products"
            for part in parts:
                add_part(result, part, evaluator)
        else:
            Gradient(result, evaluator).go(bound.root, np.ones((1,) * len(bound.root.vars)))
    result.columns = merged(result.columns) if result.kind == "function" else result.columns
    result.writer = lambda found: Writer(evaluator, bound).write(found)
    return result


# Sums of products


def parts_of(node: Node, evaluator: Evaluator) -> list[Part] | None:
    """Return an expression as a sum of products of elements, or None if it is none."""
    op, args = node.op, node.args
    if op == "read" or not has_reads(node):
        return [Part((node,))]
    if op in ("+", "-", "neg", "total", "rounded"):
        found = []
        for n, arg in enumerate(args):
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
    if not reads:
        total = product_of(factors, divisors, over, evaluator)
        repeats = math.prod(evaluator.count([v for v in over if v not in union(*(f.vars for f in factors), ())]))
        result.constant += float(np.sum(total)) * repeats
        return
    primary = next(f for kind in "fib" for f in reads if f.kind == kind)
    count = math.prod(evaluator.count(over))
    if count <= MOST_TERMS:
        result.columns += columns_of(primary, reads, factors, divisors, over, evaluator)
        return
    first = max(over, key=lambda v: v.size)
    step = max(1, MOST_TERMS * first.size // count)
    for start in range(0, first.size, step):
        evaluator.set_range(first, (start, min(start + step, first.size)))
        for column in columns_of(primary, reads, factors, divisors, over, evaluator):
            keep(result, column)
    evaluator.set_range(first, None)


def keep(result: At, column: Column) -> None:
    """Add the largest terms of a column to a result, the others to the rest."""
    before = next((c for c in result.columns if c.operand == column.operand), None)
    if before is not None:
        result.columns.remove(before)
        column = Column(
            column.operand,
            np.concatenate([before.values, column.values]),
            np.concatenate([before.weights, column.weights]),
            np.concatenate([before.places, column.places], axis=1),
            [(a[0], np.concatenate([a[1], b[1]], axis=1)) for a, b in zip(before.others, column.others, strict=True)],
        )
    if len(column.values) > KEPT_TERMS:
        kept = column.largest(KEPT_TERMS)
        result.rest += float(column.values.sum() - kept.values.sum())
        result.rest_count += len(column.values) - KEPT_TERMS
        column = kept
    result.columns.append(column)


def selected(part: Part, evaluator: Evaluator) -> tuple[list[Node], list[Node], list[Var]]:
    """Return a summand with only those values of its variables for which all its conditions hold."""
    conditions = [f for f in part.factors if f.kind == "b" and set(f.vars) & set(part.over)]
    over, factors, divisors = list(part.over), list(part.factors), list(part.divisors)
    nodes = Nodes()
    while conditions:
        group = [conditions.pop()]
        mine = set(group[0].vars) & set(over)
        for other in list(conditions):
            if set(other.vars) & mine:
                conditions.remove(other)
                group.append(other)
                mine |= set(other.vars) & set(over)
        if any(set(c.vars) & mine for c in conditions):  # joined by one that came later
            conditions += group
            conditions.sort(key=lambda c: len(set(c.vars) & mine))
            group = []
            everything = [c for c in conditions if set(c.vars) & set(over)]
            group, conditions = everything, []
            mine = {v for c in group for v in c.vars} & set(over)
        variables = tuple(sorted(mine))
        every = union(*(c.vars for c in group), variables)
        test: Any = np.True_
        for condition in group:
            value = evaluator.value(condition)
            test = test & (spread(value.array, value.vars, every) != 0)
        test = np.broadcast_to(test, evaluator.count(every))
        coordinates = np.nonzero(test)
        point = Var((2, len(evaluator.tables), 0), len(coordinates[0]), "point")
        put: dict[Var, Node] = {}
        for v in variables:
            key = len(evaluator.tables)
            evaluator.tables[key] = coordinates[every.index(v)] + evaluator.range(v)[0]
            put[v] = Node("table", (), key, (point,), "i")
            over.remove(v)
        over.append(point)
        factors = [nodes.put(f, put) for f in factors if not any(f is c for c in group) or f.op == "read"]
        divisors = [nodes.put(f, put) for f in divisors]
        conditions = [nodes.put(c, put) for c in conditions]
    return factors, divisors, over


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
    if primary.data[0] == "given":
        return []
    named = [list(named_places(name, places, evaluator)) for name, places in found]
    columns = []
    for operand, chosen, places in named[0]:
        others = [(other[0][0], other[0][2][:, chosen]) for other in named[1:] if len(other) == 1]
        w = weights[chosen]
        columns.append(Column(operand, w * numbers[chosen], w, places, others))
    return columns


def places_of(read: Node, every: tuple[Var, ...], evaluator: Evaluator) -> tuple[Array, Array | None]:
    """Return the index of every element a read reads, one row per axis, and which are inside the array (None: all)."""
    shape = evaluator.count(every)
    count = math.prod(shape)
    rows, inside = [], None
    for index, size in zip(read.args, evaluator.array(read.data[0]).shape, strict=True):
        value = evaluator.value(index)
        place = np.broadcast_to(spread(value.array, value.vars, every), shape).ravel()
        if index.bounds is None or index.bounds[0] < 0 or index.bounds[1] >= size:
            whole = np.floor(np.where(np.isfinite(place), place, -1)).astype(np.int64)
            here = (whole == place) & (whole >= 0) & (whole < size)
            inside = here if inside is None else inside & here
            place = whole
        rows.append(place)
    return np.array(rows, dtype=np.int64).reshape(len(rows), count), inside


def named_places(name: str, places: Array, evaluator: Evaluator) -> Iterator[tuple[str, Any, Array]]:
    """Yield for a name in the bound tree the operands it stands for: name, which of the places, and their indices there."""
    if name == "out0":
        name = "out"
    if name.endswith(".*"):
        for n in np.unique(places[0]).tolist():
            chosen = places[0] == n
            yield f"{name[:-2]}.{n}", chosen, places[1:, chosen]
        return
    chosen = slice(None)
    if name.startswith("spread("):
        name = name[len("spread(") :].split(",")[0]
        shape = np.shape(evaluator.arrays[name])
        places = places[len(places) - len(shape) :] if len(shape) <= len(places) else places
        rows = [np.zeros_like(places[0])] * (len(shape) - len(places)) if len(places) else []
        rows += [row if n > 1 else np.zeros_like(row) for row, n in zip(places, shape[len(rows) :], strict=True)]
        places = np.array(rows, dtype=np.int64).reshape(len(shape), places.shape[1])
    elif name.endswith(".flat"):
        name = name.removesuffix(".flat")
        shape = evaluator.arrays[name].shape
        places = np.array(np.unravel_index(places[0], shape) if shape else [], dtype=np.int64).reshape(
            len(shape), places.shape[1]
        )
    yield name, chosen, places


# Functions


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


def merged(columns: list[Column]) -> list[Column]:
    """Return columns with one term for each element read."""
    result = []
    for operand in dict.fromkeys(column.operand for column in columns):
        mine = [column for column in columns if column.operand == operand]
        weights = np.concatenate([column.weights for column in mine])
        places = np.concatenate([column.places for column in mine], axis=1)
        values = np.concatenate([column.values for column in mine])
        if len(mine) > 1 or len(weights) > 1:
            shape = places.max(axis=1, initial=0) + 1
            flat = np.zeros(len(weights), np.int64)
            for row, n in zip(places, shape, strict=True):
                flat = flat * n + row
            _, first, which = np.unique(flat, return_index=True, return_inverse=True)
            if len(first) < len(flat):
                weights = np.bincount(which, weights=weights, minlength=len(first))
                values = np.bincount(which, weights=values, minlength=len(first))
                places = places[:, first]
        result.append(Column(operand, np.asarray(values), np.asarray(weights), places))
    return result


# The formula with its numbers

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
