"""Every operation of the array engine: one table, one entry each.

An entry says how the result comes from the operands (forward), how the gradient of the result becomes those of the
operands (backward), both as formulas, where they come from, and what the same is called in PyTorch. Listing an
operation in `OPERATIONS` is all it takes: `array.apply` finds it, and the tests draw operands for it (as `draws` says) and
compare value and gradients with PyTorch and with central differences.

In formulas `out` is the result and `g` the gradient that reached it, d loss / d out; `dx` is d loss / d x. Where an
operand was repeated to fit the other's shape (broadcasting), its gradient is the sum over the repeats.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Operation:
    """One operation, its derivative and its papers."""

    name: str
    forward: Callable[..., FloatArray]
    """(operands..., settings...) -> result"""
    backward: Callable[..., tuple[FloatArray, ...]]
    """(gradient, result, operands..., settings...) -> the gradient of each operand"""
    formula: str
    gradient: str
    source: str
    torch: str
    """The same as a PyTorch expression of operands and settings."""
    draws: str
    """How tests draw operands and settings (tests/scratch/draws.py)."""
    needs: str = "shapes that are equal or fit by repeating: sizes equal, or one of them 1, counted from the right"
    """What must hold of the operands' shapes, for the message when it does not."""


def fold(gradient: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Sum a gradient over the axes along which an operand of this shape was repeated."""
    if gradient.shape == shape:
        return gradient
    added = gradient.ndim - len(shape)
    repeated = tuple(i + added for i, size in enumerate(shape) if size == 1 and gradient.shape[i + added] != 1)
    return gradient.sum(axis=(*range(added), *repeated)).reshape(shape)


def widen(gradient: FloatArray, x: FloatArray, axis: int | tuple[int, ...] | None, keepdims: bool) -> FloatArray:
    """Give a reduced gradient its axes back, as size 1, so that it fits the operand."""
    if keepdims or axis is None:
        return gradient if keepdims else np.reshape(gradient, (1,) * x.ndim)
    return np.expand_dims(gradient, axis)


# --- elementwise -----------------------------------------------------------------------------------------------------


def add_backward(g: FloatArray, out: FloatArray, x: FloatArray, y: FloatArray) -> tuple[FloatArray, ...]:
    return fold(g, x.shape), fold(g, y.shape)


def subtract_backward(g: FloatArray, out: FloatArray, x: FloatArray, y: FloatArray) -> tuple[FloatArray, ...]:
    return fold(g, x.shape), fold(-g, y.shape)


def multiply_backward(g: FloatArray, out: FloatArray, x: FloatArray, y: FloatArray) -> tuple[FloatArray, ...]:
    return fold(g * y, x.shape), fold(g * x, y.shape)


def divide_backward(g: FloatArray, out: FloatArray, x: FloatArray, y: FloatArray) -> tuple[FloatArray, ...]:
    return fold(g / y, x.shape), fold(-g * out / y, y.shape)


def power(x: FloatArray, exponent: float) -> FloatArray:
    return x**exponent


def power_backward(g: FloatArray, out: FloatArray, x: FloatArray, exponent: float) -> tuple[FloatArray, ...]:
    return (g * exponent * x ** (exponent - 1),) if exponent else (np.zeros_like(x),)


def sigmoid(x: FloatArray) -> FloatArray:
    e = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1, e) / (1 + e)


GELU_C, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715


def erf(x: FloatArray) -> FloatArray:
    """Return the error function; NumPy has none, Python's takes one number at a time."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), dtype=np.float64)


def gelu(x: FloatArray, approximate: str) -> FloatArray:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(GELU_C * (x + GELU_CUBIC * x**3)))
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_backward(g: FloatArray, out: FloatArray, x: FloatArray, approximate: str) -> tuple[FloatArray, ...]:
    if approximate == "tanh":
        t = np.tanh(GELU_C * (x + GELU_CUBIC * x**3))
        return (g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * GELU_C * (1 + 3 * GELU_CUBIC * x * x)),)
    share = 0.5 * (1 + erf(x / math.sqrt(2)))
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return (g * (share + x * density),)


def where(x: FloatArray, y: FloatArray, condition: NDArray[np.bool_]) -> FloatArray:
    return np.where(condition, x, y)


def where_backward(
    g: FloatArray, out: FloatArray, x: FloatArray, y: FloatArray, condition: NDArray[np.bool_]
) -> tuple[FloatArray, ...]:
    return fold(np.where(condition, g, 0.0), x.shape), fold(np.where(condition, 0.0, g), y.shape)


# --- reductions ------------------------------------------------------------------------------------------------------

Axes = int | tuple[int, ...] | None


def total(x: FloatArray, axis: Axes, keepdims: bool) -> FloatArray:
    return x.sum(axis=axis, keepdims=keepdims)


def total_backward(g: FloatArray, out: FloatArray, x: FloatArray, axis: Axes, keepdims: bool) -> tuple[FloatArray, ...]:
    return (np.broadcast_to(widen(g, x, axis, keepdims), x.shape),)


def mean(x: FloatArray, axis: Axes, keepdims: bool) -> FloatArray:
    if not x.size:
        raise ValueError("there is no mean of nothing")
    return x.mean(axis=axis, keepdims=keepdims)


def mean_backward(g: FloatArray, out: FloatArray, x: FloatArray, axis: Axes, keepdims: bool) -> tuple[FloatArray, ...]:
    counted = x.size / max(1, out.size)
    return (np.broadcast_to(widen(g / counted, x, axis, keepdims), x.shape),)


def largest(x: FloatArray, axis: Axes, keepdims: bool) -> FloatArray:
    return x.max(axis=axis, keepdims=keepdims)


def largest_backward(
    g: FloatArray, out: FloatArray, x: FloatArray, axis: Axes, keepdims: bool
) -> tuple[FloatArray, ...]:
    is_largest = x == widen(out, x, axis, keepdims)
    return (is_largest * (widen(g, x, axis, keepdims) / is_largest.sum(axis=axis, keepdims=True)),)


# --- along the last axis ---------------------------------------------------------------------------------------------


def softmax(x: FloatArray) -> FloatArray:
    e = np.exp(x - np.maximum.reduce(x, axis=-1, keepdims=True))  # the largest exponent is 0: never overflows
    return e / np.add.reduce(e, axis=-1, keepdims=True)


def softmax_backward(g: FloatArray, out: FloatArray, x: FloatArray) -> tuple[FloatArray, ...]:
    return (out * (g - np.add.reduce(g * out, axis=-1, keepdims=True)),)


def log_softmax(x: FloatArray) -> FloatArray:
    shifted = x - np.maximum.reduce(x, axis=-1, keepdims=True)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=-1, keepdims=True))


def log_softmax_backward(g: FloatArray, out: FloatArray, x: FloatArray) -> tuple[FloatArray, ...]:
    return (g - np.exp(out) * np.add.reduce(g, axis=-1, keepdims=True),)


def cross_entropy(x: FloatArray, targets: NDArray[np.int64]) -> FloatArray:
    if targets.shape != x.shape[:-1] or not targets.size:
        raise ValueError(f"the targets have shape {targets.shape}")
    if not (targets.min() >= 0 and targets.max() < x.shape[-1]):
        raise ValueError(f"targets from {targets.min()} to {targets.max()}, columns from 0 to {x.shape[-1] - 1}")
    logs = log_softmax(x).reshape(targets.size, -1)
    return -logs[np.arange(targets.size), targets.ravel()].sum() / targets.size


def cross_entropy_backward(
    g: FloatArray, out: FloatArray, x: FloatArray, targets: NDArray[np.int64]
) -> tuple[FloatArray, ...]:
    dx = softmax(x).reshape(targets.size, -1)
    dx[np.arange(targets.size), targets.ravel()] -= 1
    return (dx.reshape(x.shape) * (g / targets.size),)


def layer_norm(x: FloatArray, eps: float) -> FloatArray:
    _require_columns(x)
    centred = x - row_mean(x)
    return centred / np.sqrt(row_mean(centred * centred) + eps)


def layer_norm_backward(g: FloatArray, out: FloatArray, x: FloatArray, eps: float) -> tuple[FloatArray, ...]:
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    shared = row_mean(g) + out * row_mean(g * out)
    return ((g - shared) / deviation,)


def rms_norm(x: FloatArray, eps: float) -> FloatArray:
    _require_columns(x)
    return x / np.sqrt(row_mean(x * x) + eps)


def rms_norm_backward(g: FloatArray, out: FloatArray, x: FloatArray, eps: float) -> tuple[FloatArray, ...]:
    return ((g - out * row_mean(g * out)) / np.sqrt(row_mean(x * x) + eps),)


def row_mean(x: FloatArray) -> FloatArray:
    """Return the mean of each row, the axis kept."""
    return np.add.reduce(x, axis=-1, keepdims=True) / x.shape[-1]


def _require_columns(x: FloatArray) -> None:
    if not x.shape or not x.shape[-1]:
        raise ValueError("there is no mean of nothing")


# --- products and places ---------------------------------------------------------------------------------------------


def matmul(x: FloatArray, y: FloatArray) -> FloatArray:
    if x.ndim < 2 or y.ndim < 2:
        raise ValueError("one of them is not a matrix")
    return x @ y


def matmul_backward(g: FloatArray, out: FloatArray, x: FloatArray, y: FloatArray) -> tuple[FloatArray, ...]:
    return fold(g @ y.swapaxes(-1, -2), x.shape), fold(x.swapaxes(-1, -2) @ g, y.shape)


def linear(x: FloatArray, weight: FloatArray) -> FloatArray:
    if x.ndim < 1 or weight.ndim != 2:
        raise ValueError("the weights are not a matrix")
    return x @ weight.T


def linear_backward(g: FloatArray, out: FloatArray, x: FloatArray, weight: FloatArray) -> tuple[FloatArray, ...]:
    n = math.prod(x.shape[:-1])  # all rows of all texts, one below the other
    return g @ weight, g.reshape(n, weight.shape[0]).T @ x.reshape(n, weight.shape[1])


def embedding(table: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
    if rows.size and not (rows.min() >= 0 and rows.max() < len(table)):
        raise ValueError(f"row {rows.min() if rows.min() < 0 else rows.max()} is not among rows 0 to {len(table) - 1}")
    return table[rows]


def embedding_backward(
    g: FloatArray, out: FloatArray, table: FloatArray, rows: NDArray[np.int64]
) -> tuple[FloatArray, ...]:
    return index_backward(g, out, table, rows)


def index(x: FloatArray, key: Any) -> FloatArray:
    return x[key]


def index_backward(g: FloatArray, out: FloatArray, x: FloatArray, key: Any) -> tuple[FloatArray, ...]:
    dx = np.zeros_like(x)
    if isinstance(key, (int, slice)):
        dx[key] = g
    else:
        np.add.at(dx, key, g)  # a place that was read twice gets both gradients
    return (dx,)


def concatenate(*operands: FloatArray, axis: int) -> FloatArray:
    return np.concatenate(operands, axis=axis)


def concatenate_backward(g: FloatArray, out: FloatArray, *operands: FloatArray, axis: int) -> tuple[FloatArray, ...]:
    ends = np.cumsum([x.shape[axis] for x in operands])[:-1]
    return tuple(np.split(g, ends, axis=axis))


def reshape(x: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    return x.reshape(shape)


def reshape_backward(g: FloatArray, out: FloatArray, x: FloatArray, shape: tuple[int, ...]) -> tuple[FloatArray, ...]:
    return (g.reshape(x.shape),)


def transpose(x: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    return x.transpose(axes)


def transpose_backward(g: FloatArray, out: FloatArray, x: FloatArray, axes: tuple[int, ...]) -> tuple[FloatArray, ...]:
    return (g.transpose([axes.index(axis) for axis in range(g.ndim)]),)


def attention_pattern(q: FloatArray, k: FloatArray) -> FloatArray:
    (T, D), S = q.shape[-2:], k.shape[-2]
    if k.shape != (*q.shape[:-2], S, D) or not 1 <= T <= S or not D:
        raise ValueError("queries and keys do not fit")
    scores = q @ k.swapaxes(-1, -2) * (1 / math.sqrt(D))
    return softmax(scores if T == 1 else np.where(past(T, S), scores, -np.inf))


def attention_pattern_backward(g: FloatArray, out: FloatArray, q: FloatArray, k: FloatArray) -> tuple[FloatArray, ...]:
    (dscores,) = softmax_backward(g, out, out)
    dscores *= 1 / math.sqrt(q.shape[-1])
    return dscores @ k, dscores.swapaxes(-1, -2) @ q


@functools.cache
def past(T: int, S: int) -> NDArray[np.bool_]:
    """Return which of S positions each of the last T may read: itself and all before."""
    return np.tri(T, S, S - T, dtype=bool)


def split_heads(x: FloatArray, heads: int) -> FloatArray:
    *rest, T, C = x.shape
    if heads < 1 or C % heads:
        raise ValueError(f"{C} numbers cannot be shared among {heads} heads")
    return x.reshape(*rest, T, heads, C // heads).swapaxes(-2, -3)


def split_heads_backward(g: FloatArray, out: FloatArray, x: FloatArray, heads: int) -> tuple[FloatArray, ...]:
    return (g.swapaxes(-2, -3).reshape(x.shape),)


def merge_heads(x: FloatArray) -> FloatArray:
    *rest, H, T, D = x.shape
    return x.swapaxes(-2, -3).reshape(*rest, T, H * D)


def merge_heads_backward(g: FloatArray, out: FloatArray, x: FloatArray) -> tuple[FloatArray, ...]:
    *rest, H, T, D = x.shape
    return (g.reshape(*rest, T, H, D).swapaxes(-2, -3),)


# --- the table -------------------------------------------------------------------------------------------------------

CALCULUS = "calculus"
LAST_AXIS = "at least one axis, the last of them not empty"
AXIS = "an axis that is there, and at least one number to reduce"

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation(
            "add", np.add, add_backward,
            "out = x + y", "dx = g; dy = g", CALCULUS, "x + y", "two",
        ),
        Operation(
            "subtract", np.subtract, subtract_backward,
            "out = x - y", "dx = g; dy = -g", CALCULUS, "x - y", "two",
        ),
        Operation(
            "multiply", np.multiply, multiply_backward,
            "out = x * y", "dx = g * y; dy = g * x", CALCULUS, "x * y", "two",
        ),
        Operation(
            "divide", np.divide, divide_backward,
            "out = x / y", "dx = g / y; dy = -g * x / y^2", CALCULUS, "x / y", "two, the second not near 0",
        ),
        Operation(
            "power", power, power_backward,
            "out = x^n", "dx = g * n * x^(n-1)", CALCULUS, "x ** exponent", "positive, with an exponent",
        ),
        Operation(
            "negative", np.negative, lambda g, out, x: (-g,),
            "out = -x", "dx = -g", CALCULUS, "-x", "one",
        ),
        Operation(
            "exp", np.exp, lambda g, out, x: (g * out,),
            "out = exp(x)", "dx = g * out", CALCULUS, "torch.exp(x)", "one",
        ),
        Operation(
            "log", np.log, lambda g, out, x: (g / x,),
            "out = log(x)", "dx = g / x", CALCULUS, "torch.log(x)", "positive",
        ),
        Operation(
            "sqrt", np.sqrt, lambda g, out, x: (g / (2 * out),),
            "out = sqrt(x)", "dx = g / (2 * out)", CALCULUS, "torch.sqrt(x)", "positive",
        ),
        Operation(
            "relu", lambda x: np.maximum(x, 0), lambda g, out, x: (g * (x > 0),),
            "out = max(0, x)", "dx = g * [x > 0]", "Nair and Hinton 2010",
            "torch.relu(x)", "one, not near 0",
        ),
        Operation(
            "tanh", np.tanh, lambda g, out, x: (g * (1 - out * out),),
            "out = tanh(x)", "dx = g * (1 - out^2)", CALCULUS, "torch.tanh(x)", "one",
        ),
        Operation(
            "sigmoid", sigmoid, lambda g, out, x: (g * out * (1 - out),),
            "out = 1 / (1 + exp(-x))", "dx = g * out * (1 - out)", CALCULUS, "torch.sigmoid(x)", "one",
        ),
        Operation(
            "gelu", gelu, gelu_backward,
            "out = x * P(x), P(x) = (1 + erf(x / sqrt(2))) / 2; the tanh form: P(x) ~ (1 + tanh(c (x + 0.044715 x^3))) / 2,"
            " c = sqrt(2 / pi)",
            "dx = g * (P(x) + x * P'(x)), P'(x) = exp(-x^2 / 2) / sqrt(2 pi)",
            "Hendrycks and Gimpel 2016, arXiv:1606.08415",
            "F.gelu(x, approximate=approximate)", "one, with a form of GELU",
        ),
        Operation(
            "where", where, where_backward,
            "out = x where the condition holds, y elsewhere", "dx = g where it holds, else 0; dy = the rest", CALCULUS,
            "torch.where(condition, x, y)", "two, with a condition",
        ),
        Operation(
            "sum", total, total_backward,
            "out[..] = sum(i: x[..,i])", "dx[..,i] = g[..]", CALCULUS,
            "torch.sum(x, axis, keepdims)", "one, with axes", AXIS,
        ),
        Operation(
            "mean", mean, mean_backward,
            "out[..] = sum(i: x[..,i]) / n", "dx[..,i] = g[..] / n", CALCULUS,
            "torch.mean(x, axis, keepdims)", "not empty, with axes", AXIS,
        ),
        Operation(
            "max", largest, largest_backward,
            "out[..] = max(i: x[..,i])", "dx[..,i] = g[..] * [x[..,i] = out[..]] / how many are largest",
            "calculus; equals share alike, as in PyTorch's amax",
            "torch.amax(x, axis, keepdims)", "not empty, with axes", AXIS,
        ),
        Operation(
            "softmax", softmax, softmax_backward,
            "out[..,i] = exp(x[..,i] - m) / sum(j: exp(x[..,j] - m)), m = max(j: x[..,j])",
            "dx[..,i] = out[..,i] * (g[..,i] - sum(j: g[..,j] * out[..,j]))",
            "Bridle 1990", "torch.softmax(x, -1)", "rows", LAST_AXIS,
        ),
        Operation(
            "log_softmax", log_softmax, log_softmax_backward,
            "out[..,i] = x[..,i] - m - log(sum(j: exp(x[..,j] - m))), m = max(j: x[..,j])",
            "dx[..,i] = g[..,i] - exp(out[..,i]) * sum(j: g[..,j])",
            "Bridle 1990", "torch.log_softmax(x, -1)", "rows", LAST_AXIS,
        ),
        Operation(
            "cross_entropy", cross_entropy, cross_entropy_backward,
            "out = -sum(t: log_softmax(x)[t,targets[t]]) / T",
            "dx[t,i] = g * (softmax(x)[t,i] - [i = targets[t]]) / T",
            "Good 1952; with softmax, Bridle 1990",
            "F.cross_entropy(x.flatten(0, -2), targets.flatten())", "rows, with targets",
            "one target for each row of x, each a column of x",
        ),
        Operation(
            "layer_norm", layer_norm, layer_norm_backward,
            "out[..,i] = (x[..,i] - mean(x)) / s, s = sqrt(var(x) + eps), over the last axis",
            "dx[..,i] = (g[..,i] - mean(g) - out[..,i] * mean(g * out)) / s",
            "Ba et al. 2016, arXiv:1607.06450",
            "F.layer_norm(x, x.shape[-1:], eps=eps)", "rows, with eps", LAST_AXIS,
        ),
        Operation(
            "rms_norm", rms_norm, rms_norm_backward,
            "out[..,i] = x[..,i] / s, s = sqrt(mean(x^2) + eps), over the last axis",
            "dx[..,i] = (g[..,i] - out[..,i] * mean(g * out)) / s",
            "Zhang and Sennrich 2019, arXiv:1910.07467",
            "F.rms_norm(x, x.shape[-1:], eps=eps)", "rows, with eps", LAST_AXIS,
        ),
        Operation(
            "matmul", matmul, matmul_backward,
            "out[..,i,j] = sum(k: x[..,i,k] * y[..,k,j])",
            "dx[..,i,k] = sum(j: g[..,i,j] * y[..,k,j]); dy[..,k,j] = sum(i: x[..,i,k] * g[..,i,j])",
            CALCULUS, "x @ y", "matrices",
            "matrices, the first as wide as the second is high, and equal (or repeatable) axes before the last two",
        ),
        Operation(
            "linear", linear, linear_backward,
            "out[t..,o] = sum(i: x[t..,i] * weight[o,i])",
            "dx[t..,i] = sum(o: g[t..,o] * weight[o,i]); dweight[o,i] = sum(t..: g[t..,o] * x[t..,i])",
            CALCULUS, "F.linear(x, weight)", "rows, with weights", "rows of x as long as rows of the weights",
        ),
        Operation(
            "embedding", embedding, embedding_backward,
            "out[t..,c] = table[rows[t..],c]", "dtable[v,c] = sum(t: [rows[t..] = v] * g[t..,c])", CALCULUS,
            "F.embedding(torch.as_tensor(rows), table)", "table, with rows", "row numbers that are in the table",
        ),
        Operation(
            "index", index, index_backward,
            "out = x[key]", "dx[place] = sum of g where the place was read", CALCULUS,
            "x[key]", "one, with a key", "a key that lies inside the shape",
        ),
        Operation(
            "concatenate", concatenate, concatenate_backward,
            "out = the operands, one after the other along an axis", "each operand gets its own part of g", CALCULUS,
            "torch.cat(operands, axis)", "several, with an axis", "the same sizes on every axis but the one joined",
        ),
        Operation(
            "reshape", reshape, reshape_backward,
            "out = the same numbers in the same order, other axes", "dx = g with x's axes", CALCULUS,
            "x.reshape(shape)", "one, with a shape", "a new shape for just as many numbers",
        ),
        Operation(
            "transpose", transpose, transpose_backward,
            "out[i, j, ..] = x[axes in another order]", "dx = g, its axes put back", CALCULUS,
            "x.permute(axes)", "one, with an order of axes", "each axis named once",
        ),
        Operation(
            "attention_pattern", attention_pattern, attention_pattern_backward,
            "out[..,t,s] = exp(z[..,t,s]) / sum(j <= t + S - T: exp(z[..,t,j])) for s <= t + S - T, else 0, "
            "z[..,t,s] = sum(d: q[..,t,d] * k[..,s,d]) / sqrt(D)",
            "dz[..,t,s] = out[..,t,s] * (g[..,t,s] - sum(j: g[..,t,j] * out[..,t,j])); "
            "dq[..,t,d] = sum(s: dz[..,t,s] * k[..,s,d]) / sqrt(D); dk[..,s,d] = sum(t: dz[..,t,s] * q[..,t,d]) / sqrt(D)",
            "Vaswani et al. 2017, arXiv:1706.03762, equation 1, before the values",
            "torch.softmax((x @ y.mT / x.shape[-1] ** 0.5).masked_fill(torch.ones(x.shape[-2], y.shape[-2]).tril("
            "y.shape[-2] - x.shape[-2]) == 0, -torch.inf), -1)",
            "queries and keys",
            "axes (.., T, D) and (.., S, D), the same but for S, and S at least T",
        ),
        Operation(
            "split_heads", split_heads, split_heads_backward,
            "out[..,h,t,d] = x[..,t,h*D+d], D = C / heads", "dx[..,t,h*D+d] = g[..,h,t,d]",
            "Vaswani et al. 2017, arXiv:1706.03762",
            "x.unflatten(-1, (heads, x.shape[-1] // heads)).transpose(-2, -3)", "positions, with heads",
            "axes (.., T, C), and heads that share the C numbers equally",
        ),
        Operation(
            "merge_heads", merge_heads, merge_heads_backward,
            "out[..,t,h*D+d] = x[..,h,t,d]", "dx[..,h,t,d] = g[..,t,h*D+d]",
            "Vaswani et al. 2017, arXiv:1706.03762", "x.transpose(-2, -3).flatten(-2)", "heads", "axes (.., H, T, D)",
        ),
    )
}  # fmt: skip
"""Every operation by name."""
