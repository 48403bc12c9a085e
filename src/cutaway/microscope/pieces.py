"""Whole results, in pieces that fit in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cutaway.microscope.bound_tree import Node, Tree, Var, affine
from cutaway.microscope.evaluate import Evaluator
from cutaway.microscope.reductions import made_by, plan_of
from cutaway.microscope.values import Array

SMALL_PIECE = 1 << 17
"""Elements of a temporary of elementwise arithmetic: fits the processor's cache."""
LARGE_PIECE = 1 << 22
"""Elements of a factor of a matrix product."""


def footprints(root: Node) -> set[tuple[Var, ...]]:
    """Return the variables of every array that computing a tree makes."""
    found: set[tuple[Var, ...]] = set()
    seen: set[Node] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        found.add(node.vars)
        if node.op == "reduce":
            nodes, arrays = made_by(node)
            stack.extend(nodes)
            found.update(arrays)
        else:
            stack.extend(node.args)
    return found


def piece_sizes(root: Node, evaluator: Evaluator) -> dict[Var, int]:
    """Return how many values of each variable to compute at a time so that no array becomes too large.

    What lies furthest apart in memory is cut first, so that each piece reads whole rows.
    """
    apart: dict[Var, int] = {}
    has_products = False
    for node in root.walk():
        if node.op == "read":
            for index, stride in zip(node.args, evaluator.array(node.data[0]).strides, strict=True):
                for v, n in (affine(index) or ({}, 0))[0].items():
                    apart[v] = max(apart.get(v, 0), abs(n * stride))
        has_products |= node.op == "reduce" and plan_of(node).how in ("product", "scatter", "count")
    most = LARGE_PIECE if has_products else SMALL_PIECE
    made = footprints(root)
    whole = {v: evaluator.count([v])[0] for variables in made for v in variables}
    sizes = dict(whole)
    for variables in sorted(made):
        while math.prod(sizes[v] for v in variables) > most:
            cut = max((v for v in variables if sizes[v] > 1), key=lambda v: (apart.get(v, 0), v.order[0] == 0))
            excess = math.prod(sizes[v] for v in variables) / most
            sizes[cut] = max(1, math.ceil(sizes[cut] / max(excess, 2)))
    return {v: n for v, n in sizes.items() if n < whole[v]}


def pieces(bound: Tree, evaluator: Evaluator) -> Iterator[tuple[tuple[slice, ...], Array, Array]]:
    """Yield the parts of a result: where, values and rounding, on the axes of the result."""
    variables = [v for v in bound.axes if v is not None]
    evaluator.pieces = piece_sizes(bound.root, evaluator)

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

    if 0 in bound.shape:
        return
    for _ in go(variables):
        with np.errstate(all="ignore"):
            value = evaluator.value(bound.root)
        shape = [1 if v is None else evaluator.count([v])[0] for v in bound.axes]
        own = tuple(slice(None) if v is not None and v in value.vars else None for v in bound.axes)
        array = np.broadcast_to(stored(np.asarray(value.array), bound)[own], shape)
        error = np.zeros(()) if value.error is None else np.asarray(value.error)[own]
        if np.isnan(error).any():
            error = np.where(np.isnan(error), 0.0, error)
        rounding = np.broadcast_to(error, shape)
        yield tuple(slice(0, 1) if v is None else slice(*evaluator.range(v)) for v in bound.axes), array, rounding


def stored(values: Array, bound: Tree) -> Array:
    """Return values as the result can hold them."""
    if math.isfinite(bound.of_infinity) and values.dtype.kind == "f":
        return np.where(np.isinf(values), bound.of_infinity, values)
    return values


def whole(bound: Tree, evaluator: Evaluator) -> tuple[Array, Array]:
    """Return a whole result and how far rounding may move it."""
    shape = tuple(1 if v is None else v.size for v in bound.axes)
    values = np.zeros(shape, np.float64 if bound.root.kind == "f" else np.int64)
    rounding = np.zeros(shape)
    for where, part, error in pieces(bound, evaluator):
        values[where] = part
        rounding[where] = error
    return values.reshape(bound.shape), rounding.reshape(bound.shape)
