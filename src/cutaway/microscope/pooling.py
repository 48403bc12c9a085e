"""A table of numbers small enough to look at: the numbers themselves, or blocks of them put together.

A block is told by its smallest, its largest and its mean finite number, and how many are infinite or undefined: the mean
alone would hide the one cell that matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, Any]
ROWS_AT_ONCE_CELLS = 1 << 22


@dataclass(frozen=True)
class Pooled:
    """A table of blocks."""

    height: int
    """Rows of numbers in a block; the last row of blocks may have fewer."""
    width: int
    mean: Numbers
    low: Numbers
    high: Numbers
    strange: Numbers
    """How many numbers of the block are infinite or undefined (uint8, 255 for more)."""


def block_size(rows: int, columns: int, most: int) -> tuple[int, int]:
    """Return the height and width of blocks, as square as can be, so that there are at most `most`."""
    if rows * columns <= most:
        return 1, 1
    side = max(1, math.isqrt(rows * columns // most))
    while True:
        height, width = min(side, rows), min(side, columns)
        if side > rows:
            width = -(-columns // max(1, most))
        elif side > columns:
            height = -(-rows // max(1, most))
        if -(-rows // height) * -(-columns // width) <= most:
            return height, width
        side += 1


def pool(table: Numbers, height: int, width: int) -> Pooled:
    """Return a table in blocks of this size."""
    rows, columns = table.shape
    shape = -(-rows // height), -(-columns // width)
    mean, low, high = (np.empty(shape) for _ in range(3))
    strange = np.empty(shape, np.uint8)
    step = max(1, ROWS_AT_ONCE_CELLS // max(1, height * columns))
    for first in range(0, shape[0], step):
        last = min(first + step, shape[0])
        part = table[first * height : last * height]
        part = part if part.dtype in (np.float32, np.float64) else part.astype(np.float64)
        into = slice(first, last)
        mean[into], low[into], high[into], strange[into] = _pool(part, height, width)
    return Pooled(height, width, mean, low, high, strange)


def _pool(part: Numbers, height: int, width: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    down, across = np.arange(0, part.shape[0], height), np.arange(0, part.shape[1], width)

    def reduce(function: Any, values: Numbers, **kind: Any) -> Numbers:
        return function.reduceat(function.reduceat(values, across, axis=1, **kind), down, axis=0)

    with np.errstate(invalid="ignore", over="ignore"):
        total = reduce(np.add, part, dtype=np.float64)
    if np.isfinite(total).all():  # so is every number: a sum of float32 or float64 would not be
        heights, widths = np.diff(down, append=part.shape[0]), np.diff(across, append=part.shape[1])
        mean = total / np.outer(heights, widths)
        return mean, reduce(np.minimum, part), reduce(np.maximum, part), np.zeros(total.shape, np.uint8)
    finite = np.isfinite(part)
    count = reduce(np.add, finite.astype(np.int64))
    strange = np.minimum(reduce(np.add, (~finite).astype(np.int64)), 255).astype(np.uint8)
    none = count == 0
    only = np.where(finite, part, 0.0).astype(np.float64)
    scale = float(np.abs(only).max()) or 1.0  # so that a sum of large numbers stays finite
    mean = scale * (reduce(np.add, only / scale, dtype=np.float64) / np.where(none, 1, count))
    low, high = reduce(np.minimum, np.where(finite, part, np.inf)), reduce(np.maximum, np.where(finite, part, -np.inf))
    return np.where(none, np.nan, mean), np.where(none, np.nan, low), np.where(none, np.nan, high), strange
