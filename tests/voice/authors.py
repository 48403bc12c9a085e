"""Authors that are Markov chains: as many texts in one hand as a test wants."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

WORDS = [
    "".join(parts)
    for parts in itertools.product(("", "ka", "to", "mi"), ("re", "lu", "sen", "do"), ("", "n", "st", "pe"))
]
CLASSES = 6


class Author:
    """Zipf's law twisted by habits: which words, after which words, how long sentences, how many commas.

    Args:
        habit: how far the author is from all others; 0: everybody writes the same.
    """

    def __init__(self, seed: int, habit: float = 0.5) -> None:
        draw = np.random.default_rng(seed)
        zipf = 1 / np.arange(1, len(WORDS) + 1)
        twist = habit * (draw.normal(size=len(WORDS)) + 0.5 * draw.normal(size=(CLASSES, len(WORDS))))
        self.rates = zipf * np.exp(twist)
        self.rates /= self.rates.sum(1, keepdims=True)
        self.sentence = 12 * np.exp(habit * draw.normal())
        self.comma = 0.08 * np.exp(habit * draw.normal())

    def mixed(self, other: Author, share: float) -> Author:
        """Return somebody who writes in part like the other."""
        mixed = Author(0)
        mixed.rates = (1 - share) * self.rates + share * other.rates
        mixed.sentence = self.sentence ** (1 - share) * other.sentence**share
        mixed.comma = self.comma ** (1 - share) * other.comma**share
        return mixed

    def text(self, n_words: int, seed: int) -> str:
        """Return a text of so many words in paragraphs."""
        draw = np.random.default_rng([seed, n_words])
        uniform = draw.random(n_words)
        sums = self.rates.cumsum(1)
        found, last, left, sentences = [], 0, self._length(draw), 0
        begins = True
        for i in range(n_words):
            last = min(int(np.searchsorted(sums[last % CLASSES], uniform[i])), len(WORDS) - 1)
            word = WORDS[last].capitalize() if begins else WORDS[last]
            left -= 1
            begins = left <= 0
            if begins:
                sentences += 1
                left = self._length(draw)
                word += ".\n\n" if sentences % 6 == 0 else ". "
            else:
                word += ", " if draw.random() < self.comma else " "
            found.append(word)
        return "".join(found).strip()

    def texts(self, count: int, n_words: int = 400, seed: int = 0) -> dict[str, str]:
        """Return texts by name."""
        return {f"text-{i}": self.text(n_words, 1000 * seed + i) for i in range(count)}

    def _length(self, draw: np.random.Generator) -> int:
        return 2 + int(draw.geometric(1 / self.sentence))


def essays(shared_data: Path) -> dict[str, str]:
    """Return real essays by one author, without what stands above them."""
    files = sorted((shared_data / "essays").rglob("*.md"))
    return {file.stem: file.read_text(encoding="utf-8").split("---", 2)[-1] for file in files}
