"""Many pictures in portions, so that memory does not grow with their number, and means over portions of different sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def portions(count: int, at_once: int) -> Iterator[slice]:
    """Yield rows 0 to count - 1, at most so many at once, the last portion smaller where it must be."""
    for first in range(0, count, at_once):
        yield slice(first, min(first + at_once, count))


def mean_of_portions(values: Sequence[float], sizes: Sequence[int]) -> float:
    """Return the mean over all rows of what is known of portions: each portion's mean, and its size."""
    return sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)
