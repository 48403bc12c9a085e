"""A number that remembers how it was made, so that it can tell how it would change.

    x = Value(2.0);  y = x * x + 3 * x;  y.backward();  x.grad     (dy/dx = 2x + 3 = 7)

Every result keeps its operands and, for each, one more number: by how much the result changes when that operand
changes a little (the local derivative; for a * b it is b for a, and a for b). That is all: `backward` multiplies
these along every path and adds the paths up. Reverse-mode automatic differentiation, Linnainmaa 1970.

Look at each operation's last line: what comes out, what went in, the local derivatives. The page to read next is
microgpt.py, a language model made of these numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import mul

from cutaway.base.errors import NonFiniteError, UsageError
from cutaway.scratch import graph
from cutaway.scratch.backward import made_from, next_number


class Value:
    """One number of a computation.

    Args:
        data: the number.
        name: what to call it when the graph is shown.
    """

    __slots__ = ("data", "grad", "local", "name", "number", "operands", "operation")

    def __init__(
        self,
        data: float,
        name: str = "",
        operation: str = "",
        operands: Sequence[Value] = (),
        local: Sequence[float] = (),
    ) -> None:
        self.data = data
        self.name = name
        self.operation = operation  # "" for a leaf; what each name means: FORMULAS in graph.py
        self.operands = operands
        self.local = local  # d self / d operand, for each operand
        self.grad = 0.0  # d loss / d self, once somebody's backward() has been here
        self.number = next_number()

    def __add__(self, other: Value | float) -> Value:
        b = as_value(other)
        return Value(self.data + b.data, "", "add", (self, b), (1.0, 1.0))

    def __mul__(self, other: Value | float) -> Value:
        b = as_value(other)
        return Value(self.data * b.data, "", "multiply", (self, b), (b.data, self.data))

    def __sub__(self, other: Value | float) -> Value:
        b = as_value(other)
        return Value(self.data - b.data, "", "subtract", (self, b), (1.0, -1.0))

    def __truediv__(self, other: Value | float) -> Value:
        b = as_value(other)
        if b.data == 0:
            raise NonFiniteError(f"{self.data:g} / {b.data:g}: a division by zero; add a small number below the line")
        quotient = self.data / b.data
        return Value(quotient, "", "divide", (self, b), (1 / b.data, -quotient / b.data))

    def __pow__(self, exponent: float) -> Value:
        """Return the power; the exponent is a plain number, not a Value.

        Raises:
            NonFiniteError: a root of a negative number, a negative power of zero.
        """
        if isinstance(exponent, Value):
            raise UsageError("a ** b needs a plain number for b; for two Values write (b * a.log()).exp()")
        y = _checked(lambda: self.data**exponent, f"{self.data:g} ** {exponent:g}")
        slope = _checked(
            lambda: self.data ** (exponent - 1) if exponent else 0.0, f"the slope of {self.data:g} ** {exponent:g}"
        )
        return Value(y, "", f"power {exponent!r}", (self,), (exponent * slope,))

    def exp(self) -> Value:
        """Return e to this power."""
        y = _checked(lambda: math.exp(self.data), f"exp({self.data:g})")
        return Value(y, "", "exp", (self,), (y,))

    def log(self) -> Value:
        """Return the natural logarithm.

        Raises:
            NonFiniteError: the number is not positive.
        """
        if not self.data > 0:
            raise NonFiniteError(f"log({self.data:g}): only positive numbers have a logarithm")
        return Value(math.log(self.data), "", "log", (self,), (1 / self.data,))

    def relu(self) -> Value:
        """Return the number if it is positive, else zero."""
        return Value(max(0.0, self.data), "", "relu", (self,), (1.0 if self.data > 0 else 0.0,))

    def tanh(self) -> Value:
        """Return the hyperbolic tangent, between -1 and 1."""
        y = math.tanh(self.data)
        return Value(y, "", "tanh", (self,), (1 - y * y,))

    def sigmoid(self) -> Value:
        """Return 1 / (1 + exp(-x)), between 0 and 1."""
        e = math.exp(-abs(self.data))  # never overflows
        y = 1 / (1 + e) if self.data >= 0 else e / (1 + e)
        return Value(y, "", "sigmoid", (self,), (y * (1 - y),))

    def __neg__(self) -> Value:
        return self * -1.0

    def __radd__(self, other: float) -> Value:
        return as_value(other) + self

    def __rmul__(self, other: float) -> Value:
        return as_value(other) * self

    def __rsub__(self, other: float) -> Value:
        return as_value(other) - self

    def __rtruediv__(self, other: float) -> Value:
        return as_value(other) / self

    def backward(self) -> None:
        """Add d self / d x to the `grad` of every Value x this one was made from.

        The gradients of weights and inputs add up from call to call until `zero_grad`; those in between start afresh.
        """
        results = made_from(self)
        for result in results:
            result.grad = 0.0
        self.grad = 1.0 if self.operands else self.grad + 1.0
        for result in results:  # the youngest first: all that was made from it has had its turn
            gradient = result.grad
            for operand, slope in zip(result.operands, result.local, strict=True):
                operand.grad += slope * gradient  # the chain rule

    def formula(self) -> str:
        """Return how the number was made, in names and in numbers: `y = a * b = 2 * 3 = 6`."""
        return graph.formula(self)

    def explain(self) -> str:
        """Return the formula and each local derivative, one a line."""
        return graph.explain(self)

    def show(self, most: int = 60) -> str:
        """Return the graph below this number as text, at most so many lines."""
        return graph.show(self, most)

    def svg(self, most: int = 200) -> str:
        """Return the graph as a picture (SVG): numbers, gradients and the operations between them."""
        return graph.svg(self, most)

    def __repr__(self) -> str:
        return f"Value({self.data!r}{f', {self.name!r}' if self.name else ''}, grad={self.grad!r})"


def dot(a: Sequence[Value], b: Sequence[Value]) -> Value:
    """Return a[0]*b[0] + a[1]*b[1] + ... as one node.

    The same as adding up products, which makes two nodes for every product; this makes one for the whole sum, so a
    network of any size needs several times less time and memory.

    Raises:
        UsageError: the lists differ in length.
    """
    if len(a) != len(b):
        raise UsageError(f"dot of {len(a)} and {len(b)} numbers; it needs as many in the one as in the other")
    a_data, b_data = [x.data for x in a], [y.data for y in b]
    return Value(sum(map(mul, a_data, b_data)), "", "dot", (*a, *b), (*b_data, *a_data))


def zero_grad(values: Iterable[Value]) -> None:
    """Forget the gradients that have added up."""
    for value in values:
        value.grad = 0.0


def as_value(number: Value | float) -> Value:
    """Return a plain number as a leaf, a Value as it is."""
    return number if isinstance(number, Value) else Value(float(number))


def _checked(compute: Callable[[], float], what: str) -> float:
    try:
        y = compute()
    except (OverflowError, ZeroDivisionError):
        raise NonFiniteError(f"{what} is too large for a number, or a division by zero") from None
    if isinstance(y, complex):
        raise NonFiniteError(f"{what}: a negative number has no such power among the real numbers")
    return y
