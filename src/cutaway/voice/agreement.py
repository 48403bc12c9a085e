"""Do raters agree, with each other and with themselves: Krippendorff's alpha and Cohen's kappa.

    alpha = 1 - observed disagreement / disagreement expected by chance

Alpha takes any number of raters, units some did not rate, and any measure of how far two ratings are apart: nominal (the
same or not), interval (the squared difference). It is 1 where all agree, 0 where they agree as chance would, below 0
where less. Over pairs of ratings of the same unit, each unit of m ratings weighing 1 / (m - 1) (Krippendorff 2011,
Computing Krippendorff's Alpha-Reliability). Kappa (Cohen 1960) is for two raters who rated the same units: chance there
is each rater's own habit, in alpha the habit of both together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import permutations
from typing import Any, Literal


def krippendorff_alpha(units: Sequence[Sequence[Any]], measure: Literal["nominal", "interval"] = "nominal") -> float:
    """Return alpha of units, each a list of the ratings it got; NaN where nothing can be compared or nothing varies."""
    paired = [list(unit) for unit in units if len(unit) > 1]
    pairs: Counter[tuple[Any, Any]] = Counter()
    for unit in paired:
        for pair in permutations(range(len(unit)), 2):
            pairs[unit[pair[0]], unit[pair[1]]] += 1 / (len(unit) - 1)  # type: ignore[assignment]
    totals: Counter[Any] = Counter()
    for (first, _), weight in pairs.items():
        totals[first] += weight
    n = sum(totals.values())
    if n <= 1:
        return math.nan

    def apart(a: Any, b: Any) -> float:
        return float((a - b) ** 2) if measure == "interval" else float(a != b)

    observed = sum(weight * apart(a, b) for (a, b), weight in pairs.items()) / n
    expected = sum(totals[a] * totals[b] * apart(a, b) for a in totals for b in totals) / (n * (n - 1))
    return 1 - observed / expected if expected else math.nan


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Return kappa of two raters' ratings of the same units; NaN where both always say the same one thing."""
    n = len(first)
    if not n or n != len(second):
        return math.nan
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    one, other = Counter(first), Counter(second)
    expected = sum(one[value] * other[value] for value in one) / n**2
    return (observed - expected) / (1 - expected) if expected < 1 else math.nan
