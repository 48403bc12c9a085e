"""All endings of a text in order, so that any run of words is found by halving (Manber & Myers 1993).

    order = positions sorted by text[position:]

Built by doubling: sorted by their first 2^k words, positions are sorted by 2^(k+1) with the rank of what stands 2^k on as
the second key. Each round is one sort in NumPy, and there are as many as the longest repetition has doublings.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FIRST_LOOK = 16


class SuffixArray:
    """A sequence of numbers and the order of its endings."""

    def __init__(self, text: Sequence[int]) -> None:
        self.text = list(text)
        self.order: list[int] = suffix_order(np.asarray(text, np.int64)).tolist()

    def longest(self, sequence: Sequence[int]) -> tuple[int, int]:
        """Return how many of the first items of a sequence stand somewhere in the text, and where; (0, -1): not even
        the first."""
        look = FIRST_LOOK
        while True:
            head = list(sequence[:look])
            place = bisect_left(self.order, head, key=lambda start: self.text[start : start + look])
            best, where = 0, -1
            for near in (place - 1, place):  # what is most alike stands beside where the sequence would stand
                if 0 <= near < len(self.order):
                    length = _common(head, self.text, self.order[near])
                    if length > best:
                        best, where = length, self.order[near]
            if best < look or look >= len(sequence):
                return best, where
            look *= 4


def suffix_order(text: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions sorted by what follows them; the end counts less than anything."""
    n = len(text)
    if not n:
        return np.zeros(0, np.int64)
    _, rank = np.unique(text, return_inverse=True)
    rank = rank.astype(np.int64) + 1
    step = 1
    while True:
        further = np.zeros(n, np.int64)
        further[: max(0, n - step)] = rank[step:]
        key = rank * (n + 1) + further
        order = np.argsort(key, kind="stable")
        new = np.empty(n, np.int64)
        new[order] = np.cumsum(np.diff(key[order], prepend=-1) != 0)
        if new[order[-1]] == n:
            return order
        rank, step = new, 2 * step


def _common(head: Sequence[int], text: Sequence[int], start: int) -> int:
    """Return how many items are the same from the start."""
    length, most = 0, min(len(head), len(text) - start)
    while length < most and head[length] == text[start + length]:
        length += 1
    return length
