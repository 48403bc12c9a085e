"""Which runs of words of a text stand in the training texts, and whether that is more than chance.

    longest     the most words in a row that stand so in one training text
    share(n)    of the text's runs of n words, the part found in the training texts        n = 5, 8, 13

Everybody repeats themselves: "at the end of the day" is nobody's essay. So every figure stands beside the same figure of
held-out writing by the same person, in stretches of as many words as the answer has (`against.py`). What an answer quotes
of its own prompt, five words in a row or more, counts nowhere: quoting what one was given is no memory.

Runs are found in a suffix array over words (as Lee et al. 2022, arXiv:2107.06499, find duplicates). McCoy et al. 2023
(arXiv:2111.09509) measure the novelty of what language models write by such n-grams, against human text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutaway.interop.conversations import Conversation
from cutaway.voice.suffix_array import SuffixArray
from cutaway.voice.word_spans import word_spans

GRAMS = (5, 8, 13)
QUOTE_WORDS = 5
"""So many of a prompt's words in a row are a quotation."""
MARK_WORDS = 5
"""Shorter runs are not marked in the text."""


@dataclass(frozen=True)
class Mark:
    """A run of words of a text that stands in a training text."""

    start: int
    end: int
    """Where in the text, in characters."""
    words: int
    source: str
    at: int
    at_end: int
    """Where in the training text, in characters."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Overlap:
    """What one text shares with the training texts."""

    text: str
    words: int
    """Of the text, without what it quotes of its prompt."""
    quoted_words: int
    longest: Mark | None
    """None: not one word of it."""
    found: dict[int, int]
    """By n: how many of the runs of n words stand in the training texts."""
    runs: dict[int, int]
    """By n: how many runs of n words there are."""
    marks: tuple[Mark, ...]
    """Runs of five words or more, from the left, not overlapping."""

    @property
    def longest_words(self) -> int:
        """The words of the longest run."""
        return self.longest.words if self.longest else 0

    @property
    def longest_text(self) -> str:
        """The longest run as the text has it."""
        return self.text[self.longest.start : self.longest.end] if self.longest else ""

    def share(self, n: int) -> float | None:
        """Return the share of runs of n words found; None where the text has none."""
        return self.found[n] / self.runs[n] if self.runs[n] else None

    def sentence(self) -> str:
        """Say it in words."""
        if not self.words:
            return "The answer has no words of its own to look for."
        if self.longest is None:
            return f"Not one of its {self.words} words stands in the training texts."
        share = self.share(GRAMS[1])
        of_runs = "" if share is None else f"; {share:.1%} of its runs of {GRAMS[1]} words stand there"
        plural = "s" if self.longest_words > 1 else ""
        return (
            f"Of its {self.words} words at most {self.longest_words} in a row ({len(self.longest_text)} character{plural}) "
            f"stand in a training text, {self.longest.source}{of_runs}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, without the text."""
        return {
            "words": self.words,
            "quoted_words": self.quoted_words,
            "longest_words": self.longest_words,
            "longest_characters": len(self.longest_text),
            "longest_text": self.longest_text,
            "longest": self.longest.as_dict() if self.longest else None,
            "shares": {str(n): self.share(n) for n in GRAMS},
            "marks": [mark.as_dict() for mark in self.marks],
        }


class Corpus:
    """The training texts, ready to be searched.

    Args:
        texts: by the name of their source.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.names = list(texts)
        self._ids: dict[str, int] = {}
        self._starts: list[int] = []
        self._spans: list[tuple[int, int]] = []
        line: list[int] = []
        for number, text in enumerate(texts.values()):
            words, spans = word_spans(text)
            self._starts.append(len(line))
            line += [self._ids.setdefault(word, len(self._ids)) for word in words]
            line.append(-2 - number)  # no answer has such a word, so no run goes over the end
            self._spans += [*spans, (len(text), len(text))]
        self._array = SuffixArray(line)

    def lengths(self, words: Sequence[str | None]) -> list[tuple[int, int]]:
        """Return for every word how long the longest run from it on is that stands in a training text, and where.

        Args:
            words: None is a word that stands nowhere.
        """
        ids = [-1 if word is None else self._ids.get(word, -1) for word in words]
        return [self._array.longest(ids[place:]) if index >= 0 else (0, -1) for place, index in enumerate(ids)]

    def mark(self, spans: Sequence[tuple[int, int]], first: int, words: int, where: int) -> Mark:
        """Return a run of a text, by its words' places, with its source."""
        document = bisect_right(self._starts, where) - 1
        return Mark(
            spans[first][0],
            spans[first + words - 1][1],
            words,
            self.names[document],
            self._spans[where][0],
            self._spans[where + words - 1][1],
        )

    def overlap(self, text: str, prompt: str = "") -> Overlap:
        """Return what a text shares with the training texts, but for what it quotes of its prompt."""
        words, spans = word_spans(text)
        own = without_quotes(words, prompt)
        lengths = self.lengths(own)
        best = max(range(len(words)), key=lambda place: lengths[place][0], default=0)
        longest = self.mark(spans, best, *lengths[best]) if words and lengths[best][0] else None
        runs, found = gram_counts(own, [length for length, _ in lengths])
        marks, place = [], 0
        while place < len(words):
            length, where = lengths[place]
            if length >= MARK_WORDS:
                marks.append(self.mark(spans, place, length, where))
            place += length if length >= MARK_WORDS else 1
        n_own = sum(word is not None for word in own)
        return Overlap(text, n_own, len(words) - n_own, longest, found, runs, tuple(marks))


def gram_counts(words: Sequence[str | None], lengths: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Return how many runs of n words there are and how many of them were found, by n."""
    runs, found = dict.fromkeys(GRAMS, 0), dict.fromkeys(GRAMS, 0)
    in_a_row = 0
    for place in range(len(words) - 1, -1, -1):
        in_a_row = in_a_row + 1 if words[place] is not None else 0
        for n in GRAMS:
            runs[n] += in_a_row >= n
            found[n] += lengths[place] >= n
    return runs, found


def without_quotes(words: Sequence[str], prompt: str) -> list[str | None]:
    """Return the words, with None for those that stand in the prompt, five or more in a row."""
    asked = Corpus({"prompt": prompt})
    own: list[str | None] = list(words)
    for place, (length, _) in enumerate(asked.lengths(words)):
        if length >= QUOTE_WORDS:
            own[place : place + length] = [None] * length
    return own


def texts_of(conversations: Iterable[Conversation]) -> dict[str, str]:
    """Return the answers by source, each once: what is part of a longer answer of the same source is left out."""
    by_source: dict[str, list[str]] = {}
    for number, one in enumerate(conversations, 1):
        answers = [turn.content for turn in one.messages if turn.role == "assistant"]
        by_source.setdefault(str(one.about.get("source") or f"pair {number}"), []).extend(answers)
    texts = {}
    for source, answers in by_source.items():
        kept: list[str] = []
        for answer in sorted(answers, key=len, reverse=True):
            if not any(answer in longer for longer in kept):
                kept.append(answer)
        texts[source] = "\n\n".join(kept)
    return texts
