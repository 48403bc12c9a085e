"""Pieces that hold nearly the same words, found two ways.

13-gram overlap: the share of the shorter text's runs of 13 words that stand in the other too (Brown et al. 2020, appendix
C, kept tests out of training text so). It sees a passage copied into a longer text. MinHash (Broder 1997): the
share of equal minima of 128 hash functions over runs of 5 words estimates the Jaccard index; pieces that agree on one of 64
bands of 2 minima are compared. It sees a text that was edited everywhere, where few runs of 13 words are left.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GRAM, SHINGLE = 13, 5
HASHES, BAND = 128, 2
MOST_HOLDERS = 50
"""A run of words in more texts than this is a formula, not a copy."""


@dataclass(frozen=True)
class Likeness:
    """Two texts and how much of the shorter is in the other."""

    first: int
    second: int
    overlap: float
    """Share of the shorter text's 13-grams."""
    jaccard: float
    """MinHash's estimate; 0 where no band agreed."""


def words_of_text(text: str) -> list[str]:
    """Return a text's words without case and punctuation."""
    return re.findall(r"[^\W_]+", text.casefold())


def likenesses(texts: Sequence[str]) -> list[Likeness]:
    """Return every two texts that share a 13-gram or a band of minima."""
    words = [words_of_text(text) for text in texts]
    grams = [hashed_runs(mine, GRAM) for mine in words]
    shared: Counter[tuple[int, int]] = Counter()
    for holders in _holders(grams):
        shared.update((a, b) for i, a in enumerate(holders) for b in holders[i + 1 :])
    minima = [_minima(hashed_runs(mine, SHINGLE)) for mine in words]
    near: dict[tuple[int, int], float] = {}
    bands: list[set[int]] = [
        {hash((band, tuple(mine[band : band + BAND]))) for band in range(0, HASHES, BAND)}
        if mine is not None
        else set()
        for mine in minima
    ]
    for holders in _holders(bands):
        for i, a in enumerate(holders):
            for b in holders[i + 1 :]:
                near[a, b] = float(np.mean(minima[a] == minima[b]))
    found = []
    for a, b in sorted({*shared, *near}):
        smaller = min(len(grams[a]), len(grams[b]))
        found.append(Likeness(a, b, shared[a, b] / smaller if smaller else 0.0, near.get((a, b), 0.0)))
    return found


def hashed_runs(words: list[str], length: int) -> set[int]:
    """Return the hashes of all runs of so many words; a shorter text is one run."""
    if not words:
        return set()
    runs = [" ".join(words[i : i + length]) for i in range(max(1, len(words) - length + 1))]
    return {int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest(), "little") for run in runs}


def _holders(sets: Sequence[set[int]]) -> list[list[int]]:
    where: dict[int, list[int]] = defaultdict(list)
    for index, mine in enumerate(sets):
        for one in mine:
            where[one].append(index)
    return [holders for holders in where.values() if 2 <= len(holders) <= MOST_HOLDERS]


def _minima(runs: set[int]) -> np.ndarray | None:
    """Return the minimum of every hash function (multiply-shift: odd factor, sum, upper 32 bits)."""
    if not runs:
        return None
    generator = np.random.default_rng(20)
    factors = generator.integers(0, 2**63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    sums = generator.integers(0, 2**63, HASHES, dtype=np.uint64)
    values = np.fromiter(runs, np.uint64, len(runs))
    return np.array([((values * a + b) >> np.uint64(32)).min() for a, b in zip(factors, sums, strict=True)])
