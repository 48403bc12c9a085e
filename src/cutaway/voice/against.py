"""Overlap with the training texts against what chance would give: the writer's own held-out texts, in equal lengths.

For an answer of w words, stretches of w words of the held-out writing, every quarter of w, are looked at in the same way.

    observed    mean over the answers                                         interval over the answers
    chance      mean over stretches as long as the answers                    interval over the held-out documents
    p           how often a stretch for each answer, drawn at random, gives a mean as high          (1 + #) / (1 + draws)

Held-out writing shares with the training texts the writer's turns of phrase and quotations, and no memory of a model. What
answers share beyond it was copied. The interval says how much on average; p alone decides, for one copying answer
among many is copying too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cutaway.base.seed import numpy_generator
from cutaway.voice.bootstrap import Interval, bootstrap, difference, ratio
from cutaway.voice.memorization import GRAMS, Corpus, Overlap
from cutaway.voice.word_spans import word_spans

FEWEST_ANSWERS, FEWEST_DOCUMENTS = 3, 3
"""With fewer nothing is concluded."""
FEWEST_STRETCHES = 3
"""Held-out writing must be so many times as long as an answer."""
FEWEST_WORDS = 10
"""A shorter answer is too short to tell copying from chance."""
DRAWS = 999
LARGEST_P = 0.025
"""From here down a figure is more than chance. Two figures decide, so that one report in twenty is a false alarm."""


@dataclass(frozen=True)
class Output:
    """An answer of a model."""

    text: str
    prompt: str = ""
    name: str = ""


@dataclass(frozen=True)
class Against:
    """A figure of the answers beside the same figure of held-out writing."""

    what: str
    observed: Interval
    chance: Interval
    difference: Interval
    """Observed less chance."""
    p: float | None
    """None: there was nothing to draw from."""
    verdict: str
    """`more than chance`, `no more than chance` or `not enough data`."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        intervals = {name: getattr(self, name).as_dict() for name in ("observed", "chance", "difference")}
        return {"what": self.what, "p": self.p, "verdict": self.verdict} | intervals


@dataclass(frozen=True)
class Memorization:
    """What the answers of a model share with the training texts."""

    outputs: tuple[Output, ...]
    overlaps: tuple[Overlap, ...]
    """Of each output."""
    chance_longest: tuple[float | None, ...]
    """For each output the mean longest run of held-out stretches of its length."""
    longest: Against
    """In words."""
    shares: dict[int, Against]
    """By n, of runs of n words."""

    @property
    def verdict(self) -> str:
        """`copies` when the longest runs, or runs of 13 words, are more than chance, `does not copy` or `not enough data`.

        Shorter runs say less: a writer's own "but I pointed out to him that this" is in one text out of ten.
        """
        if any(one.verdict == "more than chance" for one in (self.longest, self.shares[GRAMS[-1]])):
            return "copies"
        return "not enough data" if self.longest.verdict == "not enough data" else "does not copy"

    def worst(self) -> int | None:
        """Return the number of the output with the longest run; None without outputs."""
        return max(range(len(self.overlaps)), key=lambda i: self.overlaps[i].longest_words, default=None)

    def sentence(self) -> str:
        """Say it in words."""
        worst = self.worst()
        if worst is None:
            return "There are no answers to look for copies in."
        top, middle = self.overlaps[worst], self.shares[GRAMS[1]]
        of_source = f", from {top.longest.source}" if top.longest else ""
        plural = "s" if top.longest_words != 1 else ""
        said = (
            f"The longest run of words an answer has from a training text is {top.longest_words} word{plural}{of_source}; "
            f"on average it is {self.longest.observed.text('.1f')}, where held-out writing of the same length has "
            f"{self.longest.chance.text('.1f')}: {self.longest.verdict}"
        )
        if np.isfinite(middle.observed.value):
            said += (
                f". Of its runs of {GRAMS[1]} words {middle.observed.text('.1%')} stand in the training texts, by chance "
                f"{middle.chance.text('.1%')}"
            )
        return said + "."

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "verdict": self.verdict,
            "longest": self.longest.as_dict(),
            "shares": {str(n): one.as_dict() for n, one in self.shares.items()},
            "outputs": [
                {"name": output.name, "chance_longest": chance} | overlap.as_dict()
                for output, overlap, chance in zip(self.outputs, self.overlaps, self.chance_longest, strict=True)
            ],
        }


def memorization(
    train: Mapping[str, str], held_out: Mapping[str, str], outputs: Sequence[Output], seed: int = 0
) -> Memorization:
    """Return what answers share with the training texts, beside what held-out texts do.

    Args:
        train: by name of the source.
        held_out: the same writer's texts that were not trained on.
    """
    corpus = Corpus(train)
    overlaps = [corpus.overlap(output.text, output.prompt) for output in outputs]
    line = _HeldOut(corpus, held_out)
    by_output = [line.windows(overlap.words) for overlap in overlaps]
    long_enough = sum(overlap.words >= FEWEST_WORDS for overlap in overlaps)
    enough = (
        long_enough >= FEWEST_ANSWERS
        and len(line.names) >= FEWEST_DOCUMENTS
        and len(line.words) >= FEWEST_STRETCHES * max((overlap.words for overlap in overlaps), default=0)
    )

    def against(what: str, mine: list[list[float]], column: int) -> Against:
        chance = _by_document(by_output, column, len(line.names))
        p = _permuted(mine, by_output, column, seed)
        found = difference(chance, mine, ratio, seed) if len(chance) and len(mine) else bootstrap([])
        verdict = "not enough data"
        if enough and p is not None:
            verdict = "more than chance" if p <= LARGEST_P else "no more than chance"
        return Against(what, bootstrap(mine, ratio, seed), bootstrap(chance, ratio, seed), found, p, verdict)

    longest = [[float(overlap.longest_words), 1.0] for overlap in overlaps if overlap.words]
    by_output = [mine for mine, overlap in zip(by_output, overlaps, strict=True) if overlap.words]
    return Memorization(
        tuple(outputs),
        tuple(overlaps),
        tuple(_mean_longest(line.windows(overlap.words)) for overlap in overlaps),
        against("words in the longest run", longest, 0),
        {
            n: against(
                f"share of runs of {n} words",
                [[float(overlap.found[n]), float(overlap.runs[n])] for overlap in overlaps if overlap.words],
                1 + 2 * index,
            )
            for index, n in enumerate(GRAMS)
        },
    )


class _HeldOut:
    """The held-out texts one after another, with what each word begins of the training texts."""

    def __init__(self, corpus: Corpus, texts: Mapping[str, str]) -> None:
        self.names: list[str] = []
        words: list[str | None] = []
        document: list[int] = []
        for name, text in texts.items():
            mine, _ = word_spans(text)
            if mine:
                document += [len(self.names)] * len(mine)
                self.names.append(name)
                words += mine
        self.words, self.document = words, document
        self.lengths = np.array([length for length, _ in corpus.lengths(words)], np.int64)
        place = np.arange(len(words))
        ends = np.searchsorted(np.array(document, np.int64), np.array(document, np.int64), side="right")
        self.lengths = np.minimum(self.lengths, ends - place)  # a run does not go on into the next text
        self._known: dict[int, NDArray[np.float64]] = {}

    def windows(self, n_words: int) -> NDArray[np.float64]:
        """Return for stretches of so many words: longest run, found and all runs by n, document."""
        if n_words not in self._known:
            last = max(0, len(self.words) - n_words)
            starts = range(0, last + 1, max(1, n_words // 4)) if self.words and n_words else range(0)
            self._known[n_words] = np.array([self._window(start, n_words) for start in starts], float).reshape(
                -1, 2 + 2 * len(GRAMS)
            )
        return self._known[n_words]

    def _window(self, start: int, n_words: int) -> list[float]:
        lengths = self.lengths[start : start + n_words]
        lengths = np.minimum(lengths, len(lengths) - np.arange(len(lengths)))
        row = [float(lengths.max())]
        for n in GRAMS:
            row += [float((lengths >= n).sum()), float(max(0, len(lengths) - n + 1))]
        return [*row, float(self.document[start])]


def _by_document(by_output: list[NDArray[np.float64]], column: int, n_documents: int) -> NDArray[np.float64]:
    """Return a row for each held-out document: the figure's sum over all stretches and what it is divided by."""
    rows = np.zeros((n_documents, 2))
    for windows in by_output:
        share = 1 / max(1, len(windows))  # every answer counts the same
        for window in windows:
            rows[int(window[-1])] += share * np.array([window[column], window[column + 1] if column else 1.0])
    return rows[rows[:, 1] > 0]


def _permuted(mine: list[list[float]], by_output: list[NDArray[np.float64]], column: int, seed: int) -> float | None:
    """Return how often held-out stretches in place of the answers give as much."""
    total = sum(row[1] for row in mine)
    if not total or any(not len(windows) for windows in by_output):
        return None
    observed = sum(row[0] for row in mine) / total
    generator = numpy_generator(seed, "held-out stretches", column)
    over, under = np.zeros(DRAWS), np.zeros(DRAWS)
    for windows in by_output:
        drawn = windows[generator.integers(0, len(windows), DRAWS)]
        over += drawn[:, column]
        under += drawn[:, column + 1] if column else 1.0
    with np.errstate(invalid="ignore"):
        as_much = int((over / under >= observed - 1e-12).sum())
    return (1 + as_much) / (1 + DRAWS)


def _mean_longest(windows: NDArray[np.float64]) -> float | None:
    return float(windows[:, 0].mean()) if len(windows) else None
