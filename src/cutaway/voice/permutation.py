"""How often chance would give as large a difference: whole documents change sides.

    p = (1 + number of shuffles with a difference as large) / (1 + shuffles)          Phipson & Smyth 2010

If what the model does on training documents were no different from what it does on held-out ones, it would not matter which
document is called which. One-sided: only more on the first side counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cutaway.base.seed import numpy_generator
from cutaway.voice.bootstrap import Statistic, ratio

SHUFFLES = 999


def permutation_p(
    first: ArrayLike, second: ArrayLike, statistic: Statistic = ratio, seed: int = 0, shuffles: int = SHUFFLES
) -> float | None:
    """Return how often shuffled documents give statistic(first) - statistic(second) as large; None if a side is empty.

    Args:
        first: a row for each document.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not len(one) or not len(other):
        return None
    observed = statistic(one) - statistic(other)
    if not np.isfinite(observed):
        return None
    rows, generator = np.concatenate([one, other]), numpy_generator(seed, "permutation")
    as_large = 0
    for _ in range(shuffles):
        shuffled = rows[generator.permutation(len(rows))]
        drawn = statistic(shuffled[: len(one)]) - statistic(shuffled[len(one) :])
        as_large += not drawn < observed - 1e-12
    return (1 + as_large) / (1 + shuffles)
