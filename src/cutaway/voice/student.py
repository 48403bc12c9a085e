"""Student's t: how far a mean of few may be off when their spread is estimated from the same few (Student 1908)."""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL = NormalDist()
MANY = 300
"""From so many degrees of freedom on it is nearly normal (Abramowitz & Stegun 26.7.8)."""


def welch(first: int, second: int) -> int:
    """Return the degrees of freedom of a difference between means of so many (Welch 1947, of equal spread)."""
    if min(first, second) < 2:
        return 1
    return round((1 / first + 1 / second) ** 2 / (1 / first**2 / (first - 1) + 1 / second**2 / (second - 1)))


def student_quantile(share: float, freedom: int) -> float:
    """Return the quantile of Student's t, by halving on its finite series (Abramowitz & Stegun 26.7.3, 26.7.4)."""
    low, high = 0.0, 1.0
    while _student_inside(high, freedom) < 2 * share - 1:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_inside(middle, freedom) < 2 * share - 1 else (low, middle)
    return high


def _student_inside(t: float, freedom: int) -> float:
    """Return the probability of -t to t."""
    if freedom > MANY:
        return 2 * NORMAL.cdf(t * (1 - 1 / (4 * freedom)) / math.sqrt(1 + t * t / (2 * freedom))) - 1
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    term = total = cosine if freedom % 2 else 1.0
    for k in range(freedom % 2, freedom - 2, 2):
        term *= cosine * cosine * (k + 1) / (k + 2)
        total += term
    if freedom == 1:
        total = 0.0
    return 2 / math.pi * (angle + sine * total) if freedom % 2 else sine * total
