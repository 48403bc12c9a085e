"""Texts as numbers for a classifier: words nobody watches, how they follow each other, punctuation, letters.

    words     rates of the most frequent words and of punctuation marks
    pairs     rates of two tokens that follow each other, every rarer word written as `*`
    letters   rates of runs of three characters

Rarer words are hidden in pairs (text distortion, Stamatatos 2017, EACL), so that what tells texts apart is how they are
written and not what they are about. Quotes and dashes of all kinds are the same. Which words, pairs and letters count is
decided on all texts together, without knowing whose they are. Every column has mean 0 and deviation 1 over the
texts; the three families weigh the same.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cutaway.voice.prose import even_marks, word_pattern

N_WORDS, N_PAIRS, N_LETTERS = 200, 300, 300
_BLANKS = re.compile(r"\s+")
Name = TypeVar("Name", str, tuple[str, str])


@dataclass(frozen=True)
class Features:
    """Which columns there are, and how to make them even."""

    words: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    letters: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    """What a rate less its mean is multiplied with."""

    @property
    def names(self) -> list[str]:
        """Return the columns in words."""
        return [*self.words, *(f"{a} {b}" for a, b in self.pairs), *(f"letters {run!r}" for run in self.letters)]

    def rates(self, texts: Sequence[str]) -> np.ndarray:
        """Return the share of each column among its family's, a row a text."""
        hide = frozenset(self.words)
        rows = []
        for text in texts:
            tokens = tokens_of(text)
            runs = letters_of(text)
            words, pairs = Counter(tokens), pairs_of(tokens, hide)
            rows.append(
                [
                    *(words[one] / max(1, len(tokens)) for one in self.words),
                    *(pairs[one] / max(1, len(tokens)) for one in self.pairs),
                    *(runs[one] / max(1, len(text)) for one in self.letters),
                ]
            )
        return np.array(rows, dtype=np.float64).reshape(len(rows), -1)

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Return the texts' rows, made even."""
        return (self.rates(texts) - self.mean) * self.scale

    def example(self, column: int, text: str, around: int = 40) -> str:
        """Return a place in the text where a column has something to count, with what stands around it."""
        text = even_marks(text)
        tokens = list(_tokens(text))
        said = [token.group().casefold() for token in tokens]
        places: Iterator[tuple[int, int]]
        if column < len(self.words):
            places = (one.span() for one, word in zip(tokens, said, strict=True) if word == self.words[column])
        elif column < len(self.words) + len(self.pairs):
            pair, kept = self.pairs[column - len(self.words)], frozenset(self.words)
            shown = hidden(said, kept)
            places = (
                (tokens[i].start(), tokens[i + 1].end())
                for i in range(len(tokens) - 1)
                if (shown[i], shown[i + 1]) == pair
            )
        else:
            run = re.escape(self.letters[column - len(self.words) - len(self.pairs)]).replace(r"\ ", r"\s+")
            places = (one.span() for one in re.finditer(run, text, re.IGNORECASE))
        start, end = next(places, (0, 0))
        return " ".join(text[max(0, start - around) : end + around].split())


def features_of(texts: Sequence[str]) -> tuple[Features, np.ndarray]:
    """Choose the columns on these texts, and return their rates."""
    total_words: Counter[str] = Counter()
    total_letters: Counter[str] = Counter()
    tokens = [tokens_of(text) for text in texts]
    for text, mine in zip(texts, tokens, strict=True):
        total_words.update(mine)
        total_letters.update(letters_of(text))
    words = _most(total_words, N_WORDS)
    total_pairs: Counter[tuple[str, str]] = Counter()
    for mine in tokens:
        total_pairs.update(pairs_of(mine, frozenset(words)))
    pairs = _most(total_pairs, N_PAIRS)
    letters = _most(total_letters, N_LETTERS)
    empty = np.zeros(0)
    rates = Features(tuple(words), tuple(pairs), tuple(letters), empty, empty).rates(texts)
    deviation = rates.std(0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-12)
    family = np.repeat([len(words), len(pairs), len(letters)], [len(words), len(pairs), len(letters)])
    return Features(tuple(words), tuple(pairs), tuple(letters), rates.mean(0), scale / np.sqrt(family)), rates


def tokens_of(text: str) -> list[str]:
    """Return words without case, and punctuation marks, in order."""
    return [token.group().casefold() for token in _tokens(even_marks(text))]


def pairs_of(tokens: Sequence[str], kept: frozenset[str]) -> Counter[tuple[str, str]]:
    """Count tokens that follow each other, words that are not kept hidden."""
    shown = hidden(tokens, kept)
    return Counter(itertools.pairwise(shown))


def hidden(tokens: Sequence[str], kept: frozenset[str]) -> list[str]:
    """Return tokens with `*` for every word that is not kept."""
    return [token if token in kept or not token[0].isalnum() else "*" for token in tokens]


def letters_of(text: str) -> Counter[str]:
    """Count runs of three characters, without case, all white space one blank."""
    text = _BLANKS.sub(" ", even_marks(text).casefold())
    return Counter(map("".join, zip(text, text[1:], text[2:], strict=False)))


def _tokens(text: str) -> Iterator[re.Match[str]]:
    return re.finditer(rf"{word_pattern(text).pattern}|[^\w\s]", text)


def _most(counts: Counter[Name], n: int) -> list[Name]:
    return sorted(counts, key=lambda one: (-counts[one], one))[:n]
