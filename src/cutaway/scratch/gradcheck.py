"""The referee of all gradients: wiggle a number and see what the loss does.

    d f / d x  ~  (f(x + h) - f(x - h)) / (2 h)        central differences; wrong by about h^2 and by rounding / h

It knows nothing of graphs or derivatives: it only calls the function. With float64 and h = 1e-6 a correct gradient agrees
to about nine digits, and a wrong one does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.scratch.array import Array
from cutaway.scratch.ops import FloatArray
from cutaway.scratch.value import Value

STEP = 1e-6
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Row:
    """One number's gradient, from the graph and from the referee."""

    name: str
    index: tuple[int, ...]
    exact: float
    approximate: float

    @property
    def difference(self) -> float:
        """How far they are apart, relative to their size (and to 1 where both are smaller)."""
        return abs(self.exact - self.approximate) / max(1.0, abs(self.exact), abs(self.approximate))


@dataclass(frozen=True)
class Check:
    """All rows of a comparison."""

    rows: list[Row]
    tolerance: float = TOLERANCE

    @property
    def worst(self) -> float:
        """The largest difference; infinite when one is not a number."""
        differences = [row.difference for row in self.rows]
        return max((d if d == d else np.inf for d in differences), default=0.0)

    @property
    def ok(self) -> bool:
        """Whether all gradients agree."""
        return self.worst <= self.tolerance

    def table(self, most: int = 20) -> str:
        """Return the rows as text, the worst first."""
        rows = sorted(self.rows, key=lambda row: row.difference, reverse=True)
        lines = [f"{'':<16} {'exact':>14} {'approximate':>14} {'difference':>11}"]
        for row in rows[:most]:
            place = f"{row.name}{list(row.index) if row.index else ''}"
            lines.append(f"{place:<16} {row.exact:>14.8f} {row.approximate:>14.8f} {row.difference:>11.1e}")
        if len(rows) > most:
            lines.append(f"... and {len(rows) - most} more, all closer")
        return "\n".join([*lines, f"{'agree' if self.ok else 'DIFFER'}: worst {self.worst:.1e} of {len(rows)}"])


def central_differences(f: Callable[[], float], numbers: FloatArray, h: float = STEP) -> FloatArray:
    """Return d f / d each number; the numbers are changed in place and put back.

    Args:
        f: computes one number from them, anew at each call.
    """
    slopes = np.zeros(numbers.shape)
    for index in np.ndindex(numbers.shape):
        kept = numbers[index]
        numbers[index] = kept + h
        above = f()
        numbers[index] = kept - h
        below = f()
        numbers[index] = kept
        slopes[index] = (above - below) / (2 * h)
    return slopes


def gradcheck(
    f: Callable[[], Array] | Callable[[], Value],
    leaves: Mapping[str, Array] | Mapping[str, Value],
    h: float = STEP,
    tolerance: float = TOLERANCE,
) -> Check:
    """Compare the gradients of a function with central differences.

    Args:
        f: computes the loss from the leaves, anew at each call.
        leaves: what to differentiate by, by name.

    Raises:
        UsageError: a leaf is infinite or not a number.
    """
    for name, leaf in leaves.items():
        if not np.isfinite(leaf.data).all():
            raise UsageError(f"{name} has a number that is infinite or not a number: nothing to compare there")
        leaf.grad = 0.0 if isinstance(leaf, Value) else None
    f().backward()
    exact = {name: np.asarray(0.0 if leaf.grad is None else leaf.grad) for name, leaf in leaves.items()}
    rows = []
    for name, leaf in leaves.items():
        approximate = _wiggle(f, leaf, h)
        gradients = np.broadcast_to(exact[name], approximate.shape)
        rows += [Row(name, i, float(gradients[i]), float(approximate[i])) for i in np.ndindex(approximate.shape)]
    return Check(rows, tolerance)


def _wiggle(f: Callable[[], Array] | Callable[[], Value], leaf: Array | Value, h: float) -> FloatArray:
    if isinstance(leaf, Array):
        leaf.data = np.array(leaf.data)  # its own, writable
        return central_differences(lambda: float(f().data), leaf.data, h)
    box = np.array(leaf.data)

    def with_box() -> float:
        leaf.data = float(box)
        return float(f().data)

    slopes = central_differences(with_box, box, h)
    leaf.data = float(box)
    return slopes
