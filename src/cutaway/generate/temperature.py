"""Temperature as a number, as a formula of the position such as `0.2 + 1.6*t/n`, or as points of a curve such as
`0:0.2 50:1.5 100:0.7`: straight lines between them, level before the first and after the last.

`t` is the number of the new token, from 0; `n` is how many may be written. A formula is parsed into a
tree, and the tree may only have numbers, t, n, pi, + - * / % ** and parentheses, comparisons and `a if t <
5 else b`, and the functions below. Nothing is ever run as Python. All arithmetic is in floats, so no
formula can take long or much memory.
"""

from __future__ import annotations

import ast
import bisect
import itertools
import math
import operator
from collections.abc import Callable

from cutaway.base.errors import ConfigError

_LONGEST = 200
_MOST_POINTS = 200
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "sin": math.sin,
    "cos": math.cos,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
    "floor": lambda x: float(math.floor(x)),
}
_N_ARGUMENTS = {"min": range(2, 20), "max": range(2, 20)}
_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ALLOWED = "numbers, t, n, pi, + - * / % **, 'a if t < 5 else b' and " + " ".join(_FUNCTIONS)

Formula = Callable[[float, float], float]


def temperatures(temperature: float | str, n: int) -> list[float]:
    """Return the temperature of each of `n` new tokens.

    Raises:
        ConfigError: the formula cannot be understood, or some temperature is negative or not finite.
    """
    if not isinstance(temperature, str):
        if not 0 <= temperature < math.inf:
            raise ConfigError(f"generate.temperature is {temperature}; expected a number from 0 up (0 = greedy)")
        return [float(temperature)] * n
    formula = _curve(temperature) if ":" in temperature else parse_formula(temperature)
    values = []
    for t in range(n):
        try:
            value = formula(float(t), float(n))
        except (ArithmeticError, ValueError, TypeError) as error:
            raise ConfigError(f"the temperature {temperature!r} has no value at t = {t}: {error}") from error
        if isinstance(value, complex) or not 0 <= value < math.inf:
            raise ConfigError(f"the temperature {temperature!r} is {value:g} at t = {t}; expected 0 or more everywhere")
        values.append(float(value))
    return values


def parse_points(text: str) -> list[tuple[float, float]]:
    """Return the points of a curve, `t:temperature` with blanks or commas between them, in order of t.

    Raises:
        ConfigError: a point cannot be read, two have the same t, or there are too many.
    """
    words = text.replace(",", " ").split()
    if len(words) > _MOST_POINTS:
        raise ConfigError(f"the temperature curve has {len(words)} points; at most {_MOST_POINTS} will do")
    points = []
    for word in words:
        place, _, value = word.partition(":")
        try:
            point = float(place), float(value)
        except ValueError:
            point = math.nan, math.nan
        if not all(map(math.isfinite, point)):
            raise ConfigError(f"the temperature curve has {word!r}; expected points such as 0:0.2 50:1.5")
        points.append(point)
    points.sort()
    for (before, _), (after, _) in itertools.pairwise(points):
        if before == after:
            raise ConfigError(f"the temperature curve has two points at t = {after:g}; expected one")
    return points


def _curve(text: str) -> Formula:
    points = parse_points(text)
    ts, values = [point[0] for point in points], [point[1] for point in points]

    def at(t: float, n: float) -> float:
        after = bisect.bisect_right(ts, t)
        if after == 0:
            return values[0]
        if after == len(ts):
            return values[-1]
        share = (t - ts[after - 1]) / (ts[after] - ts[after - 1])
        return values[after - 1] + share * (values[after] - values[after - 1])

    return at


def parse_formula(text: str) -> Formula:
    """Return the formula as a function of t and n.

    Raises:
        ConfigError: it has something other than the allowed arithmetic; the message shows where.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"the temperature formula has {len(text)} characters; at most {_LONGEST} will do")
    source = text.strip()
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        column = getattr(error, "offset", None) or 1
        raise _wrong(source, column - 1, "cannot be read") from error
    return _compile(tree, source)


def _compile(node: ast.expr, source: str) -> Formula:
    """Turn one node of the tree into a function; everything not listed here is refused."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            try:
                constant = float(number)
            except OverflowError as error:
                raise _wrong(source, node.col_offset, "is too large a number") from error
            return lambda t, n: constant
        case ast.Name(id="t"):
            return lambda t, n: t
        case ast.Name(id="n"):
            return lambda t, n: n
        case ast.Name(id="pi"):
            return lambda t, n: math.pi
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _compile(operand, source)
            return lambda t, n: -inner(t, n)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _compile(operand, source)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _pair(_OPERATORS[type(op)], _compile(left, source), _compile(right, source))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return _pair(_OPERATORS[type(op)], _compile(left, source), _compile(right, source))
        case ast.IfExp(test=ast.Compare() as test, body=body, orelse=orelse):
            asked, yes, no = (_compile(part, source) for part in (test, body, orelse))
            return lambda t, n: yes(t, n) if asked(t, n) else no(t, n)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            if len(args) not in _N_ARGUMENTS.get(name, range(1, 2)):
                raise _wrong(source, node.col_offset, f"gives {name} {len(args)} numbers")
            function = _FUNCTIONS[name]
            inputs = [_compile(argument, source) for argument in args]
            return lambda t, n: function(*(argument(t, n) for argument in inputs))
    raise _wrong(source, node.col_offset, "is not allowed")


def _pair(operation: Callable[[float, float], float], left: Formula, right: Formula) -> Formula:
    return lambda t, n: operation(left(t, n), right(t, n))


def _wrong(source: str, column: int, what: str) -> ConfigError:
    before, after = source[:column], source[column:]
    shown = f"{before}>>>{after}" if after else f"{before}>>> (its end)"
    return ConfigError(f"in the temperature formula, what follows >>> {what}: {shown!r}; allowed: {_ALLOWED}")
