"""Sums over products of arrays with named axes, by matrix products, with their rounding."""

from __future__ import annotations

import math

import numpy as np

from cutaway.microscope.bound_tree import Var
from cutaway.microscope.values import Array, Value, spread, union


def contracted(values: list[Value], keep: tuple[Var, ...], eps: float, with_rounding: bool) -> Value:
    """Return the sum of a product of factors over all variables but those to keep."""
    own = union(*(value.vars for value in values))
    summed = [v for v in own if v not in keep]
    result = contraction([(value.array, value.vars) for value in values], keep)
    if not with_rounding:
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
                    size = np.abs(size) + eps * other.error
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
