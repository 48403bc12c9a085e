"""The functions of the formula language: how to compute them in NumPy, and their derivatives.

The derivatives serve twice: to say how much rounding an argument's error does to the result, and how strongly a
result depends on each operand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # an ndarray or a NumPy scalar


def elementwise(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """Return a function of one number as a function of arrays, for what NumPy lacks."""

    def of_array(x: Array) -> Array:
        x = np.asarray(x, dtype=np.float64)
        return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)

    return of_array


def log_gamma(x: float) -> float:
    """Return log |gamma(x)|."""
    if math.isnan(x) or x == -math.inf:
        return math.nan
    return math.inf if x <= 0 and x == math.floor(x) else math.lgamma(x)


def digamma(x: float) -> float:
    """Return the derivative of log gamma, by recurrence up to 10 and the asymptotic series from there."""
    if x <= 0 and x == math.floor(x):
        return math.copysign(math.inf, -x) if x == 0 else math.nan
    if x < 0:
        return digamma(1.0 - x) - math.pi / math.tan(math.pi * math.fmod(x, 1.0))
    total = 0.0
    while x < 10.0:
        total -= 1.0 / x
        x += 1.0
    square, series = 1.0 / (x * x), 0.0
    for coefficient in (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12):
        series = square * (coefficient + series)
    return total + math.log(x) - 0.5 / x - series


def erfinv(y: float) -> float:
    """Return the inverse of erf, by Winitzki's approximation and Newton's method."""
    if not -1.0 < y < 1.0:
        return math.copysign(math.inf, y) if abs(y) == 1.0 else math.nan
    log = math.log1p(-y * y)
    part = 2 / (math.pi * 0.147) + log / 2
    x = math.copysign(math.sqrt(math.sqrt(part * part - log / 0.147) - part), y)
    for _ in range(4):
        error = math.erf(x) - y if abs(y) < 0.5 else math.copysign(1, y) * (1 - abs(y) - math.erfc(abs(x)))
        x -= error * math.sqrt(math.pi) / 2 * math.exp(x * x)
    return x


def number(x: Array) -> Array:
    """Return truth values as whole numbers, to calculate with."""
    return x.astype(np.int64) if getattr(x, "dtype", None) == np.bool_ else x


def softplus(x: Array) -> Array:
    """Return log(1 + e^x) without overflow."""
    return np.logaddexp(0.0, x)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x)."""
    return 1.0 / (1.0 + np.exp(-x))


@dataclass(frozen=True)
class Function:
    """A function of one or two numbers."""

    compute: Callable[..., Array]
    slopes: tuple[Callable[..., Array], ...] = ()
    """Derivative by each argument, as a function of the arguments and the value; none: it is constant in steps."""
    latex: str = ""
    is_exact: bool = False
    """Whether the result of exact arguments is exact."""
    kind: str = "f"
    """f: real numbers; b: truth; i: whole numbers; =: whole numbers if all arguments are."""


def one(compute: Callable[..., Array], slope: Callable[..., Array] | None = None, latex: str = "") -> Function:
    """Return a smooth function of one number."""
    return Function(compute, (slope,) if slope else (), latex)


TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)
LOG_2 = math.log(2.0)

FUNCTIONS = {
    "exp": one(np.exp, lambda x, v: v, r"\exp"),
    "exp2": one(np.exp2, lambda x, v: v * LOG_2, r"2^"),
    "expm1": one(np.expm1, lambda x, v: v + 1.0),
    "log": one(np.log, lambda x, v: 1.0 / x, r"\log"),
    "log2": one(np.log2, lambda x, v: 1.0 / (x * LOG_2), r"\log_2"),
    "log10": one(np.log10, lambda x, v: 1.0 / (x * math.log(10.0)), r"\log_{10}"),
    "log1p": one(np.log1p, lambda x, v: 1.0 / (1.0 + x)),
    "sqrt": one(np.sqrt, lambda x, v: 0.5 / v, r"\sqrt"),
    "rsqrt": one(lambda x: 1.0 / np.sqrt(x), lambda x, v: -0.5 * v / x),
    "reciprocal": one(lambda x: 1.0 / x, lambda x, v: -v * v),
    "sigmoid": one(sigmoid, lambda x, v: v * (1.0 - v), r"\sigma"),
    "softplus": one(softplus, lambda x, v: sigmoid(x)),
    "tanh": one(np.tanh, lambda x, v: 1.0 - v * v, r"\tanh"),
    "sinh": one(np.sinh, lambda x, v: np.cosh(x), r"\sinh"),
    "cosh": one(np.cosh, lambda x, v: np.sinh(x), r"\cosh"),
    "asinh": one(np.arcsinh, lambda x, v: 1.0 / np.sqrt(x * x + 1.0)),
    "acosh": one(np.arccosh, lambda x, v: 1.0 / np.sqrt(x * x - 1.0)),
    "atanh": one(np.arctanh, lambda x, v: 1.0 / (1.0 - x * x)),
    "sin": one(np.sin, lambda x, v: np.cos(x), r"\sin"),
    "cos": one(np.cos, lambda x, v: -np.sin(x), r"\cos"),
    "tan": one(np.tan, lambda x, v: 1.0 + v * v, r"\tan"),
    "asin": one(np.arcsin, lambda x, v: 1.0 / np.sqrt(1.0 - x * x), r"\arcsin"),
    "acos": one(np.arccos, lambda x, v: -1.0 / np.sqrt(1.0 - x * x), r"\arccos"),
    "atan": one(np.arctan, lambda x, v: 1.0 / (1.0 + x * x), r"\arctan"),
    "erf": one(elementwise(math.erf), lambda x, v: TWO_OVER_ROOT_PI * np.exp(-x * x)),
    "erfc": one(elementwise(math.erfc), lambda x, v: -TWO_OVER_ROOT_PI * np.exp(-x * x)),
    "erfinv": one(elementwise(erfinv), lambda x, v: np.exp(v * v) / TWO_OVER_ROOT_PI),
    "lgamma": one(elementwise(log_gamma), lambda x, v: elementwise(digamma)(x)),
    "digamma": one(elementwise(digamma)),
    "floor": Function(np.floor, is_exact=True, kind="="),
    "ceil": Function(np.ceil, is_exact=True, kind="="),
    "round": Function(np.round, is_exact=True, kind="="),
    "trunc": Function(np.trunc, is_exact=True, kind="="),
    "frac": Function(lambda x: x - np.trunc(x), (lambda x, v: np.ones_like(v),), is_exact=True, kind="="),
    "rounded": Function(lambda x, *n: x, (lambda *a: np.ones_like(a[-1]), lambda *a: np.zeros_like(a[-1])), kind="="),
    "sign": Function(np.sign, latex=r"\operatorname{sign}", is_exact=True, kind="="),
    "abs": Function(np.abs, (lambda x, v: np.sign(x),), is_exact=True, kind="="),
    "neg": Function(np.negative, (lambda x, v: -np.ones_like(v),), is_exact=True, kind="="),
    "bracket": Function(lambda x: x != 0, is_exact=True, kind="b"),
    "not": Function(lambda x: x == 0, is_exact=True, kind="b"),
    "isnan": Function(np.isnan, is_exact=True, kind="b"),
    "isinf": Function(np.isinf, is_exact=True, kind="b"),
    "+": Function(np.add, (lambda a, b, v: np.ones_like(v), lambda a, b, v: np.ones_like(v)), kind="="),
    "-": Function(np.subtract, (lambda a, b, v: np.ones_like(v), lambda a, b, v: -np.ones_like(v)), kind="="),
    "*": Function(np.multiply, (lambda a, b, v: b, lambda a, b, v: a), kind="="),
    "/": Function(np.true_divide, (lambda a, b, v: 1.0 / b, lambda a, b, v: -v / b)),
    "//": Function(np.floor_divide, is_exact=True, kind="="),
    "%": Function(
        np.remainder, (lambda a, b, v: np.ones_like(v), lambda a, b, v: -np.floor(a / b)), is_exact=True, kind="="
    ),
    "fmod": Function(
        np.fmod, (lambda a, b, v: np.ones_like(v), lambda a, b, v: -np.trunc(a / b)), is_exact=True, kind="="
    ),
    "**": Function(
        lambda a, b: np.power(np.asarray(a, dtype=np.float64), b),
        (
            lambda a, b, v: np.where(b == 0, 0.0, b * np.power(a, b - 1.0)),
            lambda a, b, v: np.where(v == 0, 0.0, np.log(a) * v),
        ),
    ),
    "atan2": Function(np.arctan2, (lambda a, b, v: b / (a * a + b * b), lambda a, b, v: -a / (a * a + b * b))),
    "hypot": Function(np.hypot, (lambda a, b, v: a / v, lambda a, b, v: b / v)),
    "copysign": Function(
        np.copysign, (lambda a, b, v: np.sign(a) * np.sign(v), lambda a, b, v: np.zeros_like(v)), is_exact=True
    ),
    "min": Function(np.minimum, (lambda a, b, v: a <= b, lambda a, b, v: b < a), r"\min", is_exact=True, kind="="),
    "max": Function(np.maximum, (lambda a, b, v: a >= b, lambda a, b, v: b > a), r"\max", is_exact=True, kind="="),
    "bitand": Function(np.bitwise_and, is_exact=True, kind="="),
    "bitor": Function(np.bitwise_or, is_exact=True, kind="="),
    "bitxor": Function(np.bitwise_xor, is_exact=True, kind="="),
    "==": Function(np.equal, is_exact=True, kind="b"),
    "!=": Function(np.not_equal, is_exact=True, kind="b"),
    "<": Function(np.less, is_exact=True, kind="b"),
    "<=": Function(np.less_equal, is_exact=True, kind="b"),
    ">": Function(np.greater, is_exact=True, kind="b"),
    ">=": Function(np.greater_equal, is_exact=True, kind="b"),
    "and": Function(lambda a, b: (a != 0) & (b != 0), latex=r"\wedge", is_exact=True, kind="b"),
    "or": Function(lambda a, b: (a != 0) | (b != 0), latex=r"\vee", is_exact=True, kind="b"),
}  # fmt: skip
FUNCTIONS["pow"] = FUNCTIONS["**"]

NEUTRAL = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf, "any": 0.0, "all": 1.0}
"""What reading outside an array gives inside a reduction, and what a reduction of nothing is."""
