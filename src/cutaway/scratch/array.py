"""An array that remembers how it was made: value.py's idea, many numbers at a time, on NumPy.

    w = Array([[1.0, 2.0]]);  y = (w @ x).tanh().sum();  y.backward();  w.grad

The operations and their derivatives are the table in ops.py; this page only keeps the graph. All numbers are float64:
this engine is a referee, so it is exact first and fast second. Look at `apply` (forward) and `backward`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cutaway.base.errors import ShapeError, UsageError
from cutaway.scratch.backward import made_from, next_number
from cutaway.scratch.ops import OPERATIONS, Axes, FloatArray

NO_SETTINGS: Mapping[str, Any] = {}


class Array:
    """Numbers in a grid of any number of axes.

    Args:
        data: the numbers.
        name: what to call it when it is shown.
    """

    __slots__ = ("data", "grad", "name", "number", "operands", "operation", "settings")
    __array_ufunc__ = None  # numpy's own arrays leave `array + Array` to us

    def __init__(
        self,
        data: ArrayLike,
        name: str = "",
        operation: str = "",
        operands: Sequence[Array] = (),
        settings: Mapping[str, Any] = NO_SETTINGS,
    ) -> None:
        self.data: FloatArray = np.asarray(data, np.float64)
        self.name = name
        self.operation = operation  # a name in ops.py, "" for a leaf
        self.operands = operands
        self.settings = settings
        self.grad: FloatArray | None = None  # d loss / d self, once somebody's backward() has been here
        self.number = next_number()

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return self.data.shape

    def backward(self, gradient: ArrayLike | None = None) -> None:
        """Add d self / d x to the `grad` of every Array x this one was made from.

        The gradients of leaves add up from call to call until `zero_grad`; those in between start afresh.

        Args:
            gradient: d loss / d self, of this array's shape; may be left out where this array is the loss, one number.

        Raises:
            UsageError: this array is not one number and no gradient was given.
        """
        if gradient is None:
            if self.data.size != 1:
                raise UsageError(
                    f"backward() starts from one number, a loss; this Array has shape {self.shape}: take its .sum() or "
                    ".mean() first, or pass the gradient that reaches it, backward(gradient)"
                )
            gradient = np.ones(self.shape)
        start = np.asarray(gradient, np.float64)
        if start.shape != self.shape:
            raise ShapeError(f"the gradient of an Array of shape {self.shape} has that shape, not {start.shape}")
        if not self.operands:
            self.grad = start if self.grad is None else self.grad + start
            return
        results = made_from(self)
        for result in results:
            result.grad = None
        self.grad = start
        for result in results:  # the youngest first: all that was made from it has had its turn
            operands = result.operands
            shares = OPERATIONS[result.operation].backward(
                result.grad, result.data, *[operand.data for operand in operands], **result.settings
            )
            for operand, share in zip(operands, shares, strict=True):
                before = operand.grad
                operand.grad = share if before is None else before + share

    def __add__(self, other: Array | ArrayLike) -> Array:
        return apply("add", self, other)

    def __sub__(self, other: Array | ArrayLike) -> Array:
        return apply("subtract", self, other)

    def __mul__(self, other: Array | ArrayLike) -> Array:
        return apply("multiply", self, other)

    def __truediv__(self, other: Array | ArrayLike) -> Array:
        return apply("divide", self, other)

    def __matmul__(self, other: Array | ArrayLike) -> Array:
        return apply("matmul", self, other)

    def __radd__(self, other: ArrayLike) -> Array:
        return apply("add", other, self)

    def __rsub__(self, other: ArrayLike) -> Array:
        return apply("subtract", other, self)

    def __rmul__(self, other: ArrayLike) -> Array:
        return apply("multiply", other, self)

    def __rtruediv__(self, other: ArrayLike) -> Array:
        return apply("divide", other, self)

    def __rmatmul__(self, other: ArrayLike) -> Array:
        return apply("matmul", other, self)

    def __pow__(self, exponent: float) -> Array:
        return apply("power", self, exponent=exponent)

    def __neg__(self) -> Array:
        return apply("negative", self)

    def __getitem__(self, key: Any) -> Array:
        return apply("index", self, key=key)

    def exp(self) -> Array:
        """Return e to each number."""
        return apply("exp", self)

    def log(self) -> Array:
        """Return the natural logarithm of each number."""
        return apply("log", self)

    def sqrt(self) -> Array:
        """Return the square root of each number."""
        return apply("sqrt", self)

    def relu(self) -> Array:
        """Return the positive numbers, zero for the others."""
        return apply("relu", self)

    def tanh(self) -> Array:
        """Return the hyperbolic tangent of each number."""
        return apply("tanh", self)

    def sigmoid(self) -> Array:
        """Return 1 / (1 + exp(-x)) of each number."""
        return apply("sigmoid", self)

    def gelu(self, approximate: str = "none") -> Array:
        """Return GELU of each number, exact or in its tanh form."""
        if approximate not in ("none", "tanh"):
            raise UsageError(f"GELU has the forms 'none' (exact) and 'tanh', not {approximate!r}")
        return apply("gelu", self, approximate=approximate)

    def sum(self, axis: Axes = None, keepdims: bool = False) -> Array:
        """Return the sum over axes, or over all of them."""
        return apply("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axes = None, keepdims: bool = False) -> Array:
        """Return the mean over axes, or over all of them."""
        return apply("mean", self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axes = None, keepdims: bool = False) -> Array:
        """Return the largest number over axes, or over all of them."""
        return apply("max", self, axis=axis, keepdims=keepdims)

    def softmax(self) -> Array:
        """Return shares that sum to one along the last axis."""
        return apply("softmax", self)

    def log_softmax(self) -> Array:
        """Return the logarithms of those shares."""
        return apply("log_softmax", self)

    def reshape(self, *shape: int) -> Array:
        """Return the same numbers in other axes."""
        return apply("reshape", self, shape=shape)

    def transpose(self, *axes: int) -> Array:
        """Return the axes in another order; left out: the last two exchanged."""
        if not axes:
            n = self.data.ndim
            axes = (*range(n - 2), n - 1, n - 2)
        return apply("transpose", self, axes=axes)

    def __repr__(self) -> str:
        return f"Array({self.data!r}{f', {self.name!r}' if self.name else ''})"


def apply(name: str, *operands: Array | ArrayLike, **settings: Any) -> Array:
    """Compute one operation of the table and remember how.

    Raises:
        ShapeError: the operands' shapes do not fit the operation.
    """
    arrays = [x if type(x) is Array else Array(x) for x in operands]  # type: ignore[arg-type]
    operation = OPERATIONS[name]
    try:
        data = operation.forward(*[x.data for x in arrays], **settings)
    except (ValueError, IndexError, TypeError) as error:
        shapes = " and ".join(str(x.shape) for x in arrays)
        said = "".join(f", {key} {_brief(value)}" for key, value in settings.items())
        raise ShapeError(f"{name} of {shapes}{said}: it needs {operation.needs} ({error})") from None
    return Array(data, "", name, arrays, settings)


def concatenate(operands: Iterable[Array], axis: int = 0) -> Array:
    """Join arrays along an axis."""
    return apply("concatenate", *operands, axis=axis)


def where(condition: NDArray[np.bool_], x: Array | ArrayLike, y: Array | ArrayLike) -> Array:
    """Return x where the condition holds and y elsewhere."""
    return apply("where", x, y, condition=condition)


def linear(x: Array, weight: Array) -> Array:
    """Return x W^T: each output a weighted sum of a row of x, with a row of the weights."""
    return apply("linear", x, weight)


def attention_pattern(q: Array, k: Array) -> Array:
    """Return for each position the shares in which it reads itself and the positions before."""
    return apply("attention_pattern", q, k)


def split_heads(x: Array, heads: int) -> Array:
    """Return (..., T, C) as (..., H, T, D): each head its own part of the width."""
    return apply("split_heads", x, heads=heads)


def merge_heads(x: Array) -> Array:
    """Return (..., H, T, D) as (..., T, C): the heads side by side again."""
    return apply("merge_heads", x)


def embedding(table: Array, rows: ArrayLike) -> Array:
    """Return the rows of a table with these numbers."""
    return apply("embedding", table, rows=np.asarray(rows, dtype=np.int64))


def cross_entropy(logits: Array, targets: ArrayLike) -> Array:
    """Return the mean of -log of the probability given to each target, in nats."""
    return apply("cross_entropy", logits, targets=np.asarray(targets, dtype=np.int64))


def layer_norm(x: Array, eps: float = 1e-5) -> Array:
    """Return each row centred and scaled to a variance of one."""
    return apply("layer_norm", x, eps=eps)


def rms_norm(x: Array, eps: float = 1e-5) -> Array:
    """Return each row scaled to a mean square of one."""
    return apply("rms_norm", x, eps=eps)


def zero_grad(arrays: Iterable[Array]) -> None:
    """Forget the gradients that have added up."""
    for array in arrays:
        array.grad = None


def _brief(value: Any) -> str:
    return f"of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)
