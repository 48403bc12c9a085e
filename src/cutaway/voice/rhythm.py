"""The rhythm of writing: how long sentences and paragraphs are, and what follows what.

    memory = sum (x_t - mean) (x_t+1 - mean) / sum (x_t - mean)^2       x_t: words of sentence t

the autocorrelation of neighbouring sentences: above 0 long ones stand together, below 0 long and short alternate (of
n sentences in random order it is about -1 / n). How sentence lengths are spread as a whole is compared by the
distance of two distributions (Wasserstein's, in words): how many words sentences would have to grow or shrink, on
average, to be spread like the others. Everything on stretches of the same number of words, cut sentences left out.
Look at the spread: models like sentences of one length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cutaway.voice.cut import cut
from cutaway.voice.prose import paragraphs, sentences, words
from cutaway.voice.yardstick import Compared, as_plain, compared

MOST_WORDS, LEAST_WORDS = 500, 80
LEAST_SENTENCES = 4
"""In a stretch, for a spread; twice as many for a memory."""
EDGES = (*range(0, 60, 5), 60)
"""Of the histogram, in words; the last bar has all longer ones."""
QUANTILES = (np.arange(50) + 0.5) / 50


@dataclass(frozen=True)
class Rhythm:
    """Lengths of sentences and paragraphs, one's own and the model's."""

    n_words: int
    """Of each stretch; 0: the texts are too short."""
    n_own: int
    n_outputs: int
    sentence_length: Compared
    sentence_spread: Compared
    """The standard deviation within a stretch."""
    sentence_memory: Compared
    sentence_distribution: Compared
    paragraph_length: Compared
    edges: tuple[int, ...]
    own_shares: tuple[float, ...]
    """Share of one's sentences from each edge up to the next."""
    output_shares: tuple[float, ...]

    def all(self) -> list[Compared]:
        """Return every figure."""
        return [
            self.sentence_length,
            self.sentence_spread,
            self.sentence_memory,
            self.sentence_distribution,
            self.paragraph_length,
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, and the sentences."""
        found: dict[str, Any] = as_plain(self) | {"sentence": self.sentence()}
        for name in ("length", "spread", "memory", "distribution"):
            found[f"sentence_{name}"] = getattr(self, f"sentence_{name}").as_dict()
        found["paragraph_length"] = self.paragraph_length.as_dict()
        return found

    def sentence(self) -> str:
        """Say in one sentence how many figures are within the spread of one's own writing."""
        known = [one for one in self.all() if not one.why]
        if not known:
            return f"Rhythm: not enough data to say ({self.sentence_length.why})."
        outside = [one.name[:1].lower() + one.name[1:] for one in known if one.verdict != "within"]
        rest = f"; outside: {', '.join(outside)}" if outside else ""
        return f"Rhythm: {len(known) - len(outside)} of {len(known)} figures of the model's texts lie where yours do{rest}."


def rhythm(own: Mapping[str, str], outputs: Mapping[str, str]) -> Rhythm:
    """Compare the rhythm of a model's texts with that of one's own.

    Args:
        own: texts the model did not train on, by name.
        outputs: what it wrote, by name.
    """
    parts = cut(own, outputs, MOST_WORDS, LEAST_WORDS)
    missing = parts.missing
    ours, theirs = (
        [[sentence_lengths(part, i > 0) for i, part in enumerate(text)] for text in side]
        for side in (parts.own, parts.outputs)
    )
    flat, flat_outputs = ([one for text in side for one in text] for side in (ours, theirs))
    own_far, output_far = ([], []) if missing else distances(ours, flat_outputs)
    own_paragraphs, output_paragraphs = (
        [parts.n_words / len(paragraphs(part)) for part in side] for side in parts.flat()
    )

    def figure(name: str, unit: str, of: Callable[[list[int]], float], decimals: int) -> Compared:
        return compared(name, unit, [of(x) for x in flat], [of(x) for x in flat_outputs], decimals, missing)

    return Rhythm(
        parts.n_words,
        len(parts.own),
        len(parts.outputs),
        figure("Words in a sentence", "words", lambda x: float(np.mean(x)) if x else np.nan, 1),
        figure("Spread of sentence lengths", "words", spread, 1),
        figure("Memory of sentence lengths", "", memory, 2),
        compared("Sentence lengths, all in all, off the rest of yours by", "words", own_far, output_far, 1, missing),
        compared("Words in a paragraph", "words", own_paragraphs, output_paragraphs, 0, missing),
        tuple(EDGES),
        shares([n for x in flat for n in x]),
        shares([n for x in flat_outputs for n in x]),
    )


def sentence_lengths(part: str, is_cut_before: bool) -> list[int]:
    """Return the words of each whole sentence of a stretch; its last sentence is cut off, and its first may be."""
    return [len(words(sentence)) for sentence in sentences(part)][1 if is_cut_before else 0 : -1]


def spread(lengths: Sequence[int]) -> float:
    """Return the standard deviation, not a number where there are too few."""
    return float(np.std(lengths, ddof=1)) if len(lengths) >= LEAST_SENTENCES else np.nan


def memory(lengths: Sequence[int]) -> float:
    """Return the autocorrelation of neighbours, not a number where there are too few or all are equal."""
    if len(lengths) < 2 * LEAST_SENTENCES or len(set(lengths)) == 1:
        return np.nan
    off = np.asarray(lengths, float) - np.mean(lengths)
    return float((off[:-1] * off[1:]).sum() / (off**2).sum())


def distances(
    own: Sequence[Sequence[Sequence[int]]], outputs: Sequence[Sequence[int]]
) -> tuple[list[float], list[float]]:
    """Return how far the sentence lengths of each stretch are from those of one's other texts, in words.

    Args:
        own: the sentence lengths of the stretches of each of one's texts.
        outputs: those of the model's stretches; measured against every reference, and the mean taken.
    """
    ours: list[float] = []
    theirs_KQ = np.array([np.quantile(x, QUANTILES) if len(x) else np.full(len(QUANTILES), np.nan) for x in outputs])
    theirs_K = np.zeros(len(outputs))
    for text in range(len(own)):
        others = [n for i, parts in enumerate(own) if i != text for part in parts for n in part]
        if not others:
            continue
        reference_Q = np.quantile(others, QUANTILES)
        ours += [float(np.abs(np.quantile(x, QUANTILES) - reference_Q).mean()) for x in own[text] if len(x)]
        theirs_K += np.abs(theirs_KQ - reference_Q).mean(1) / len(own)
    return ours, theirs_K.tolist()


def shares(lengths: Sequence[int]) -> tuple[float, ...]:
    """Return the share of the sentences in each bar of the histogram."""
    counts = np.bincount(np.searchsorted(EDGES, lengths, side="right") - 1, minlength=len(EDGES))
    return tuple((counts / max(1, len(lengths))).tolist())
