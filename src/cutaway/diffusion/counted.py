"""Random numbers by count: the numbers of drawing i are a pure function of the seed and i, whatever came before.

A NumPy generator a drawing would cost more than the drawing. Here all numbers of a batch come from one vectorised
mixing function (the finaliser of SplitMix64: Steele, Lea and Flood 2014), one 64-bit counter a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def _mix(x: ndarray) -> ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniforms(seed: int, index_N: Int[ndarray, " N"] | Sequence[int], n_numbers: int) -> Float[ndarray, "N K"]:
    """Return `n_numbers` numbers in [0, 1) for each index, in float32."""
    with np.errstate(over="ignore"):
        row_N = _mix(np.asarray(index_N, np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed & (2**64 - 1)))
        column_K = np.arange(1, n_numbers + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed_NK = _mix(row_N[:, None] + column_K)
    return (mixed_NK >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
