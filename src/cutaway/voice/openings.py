"""How texts begin: with which word, with what kind of sentence, and whether always alike.

A model that was tuned on few texts likes to begin them all in one way. The share of pairs that begin with the same word
shows it, and does not depend on how many texts there are. Its p-value comes from dividing all texts at random into
two groups of the same sizes (Phipson and Smyth 2010: the division that was observed counts, so p is never 0).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cutaway.base.seed import numpy_generator
from cutaway.voice.prose import prose, sentences, words
from cutaway.voice.yardstick import Compared, compared, missing_texts

PERMUTATIONS = 999
SHAPES = ("statement", "question", "exclamation", "quotation")


@dataclass(frozen=True)
class Openings:
    """How texts begin."""

    own_words: dict[str, int]
    """The first words of one's texts, the most frequent first."""
    output_words: dict[str, int]
    own_shapes: dict[str, float]
    """Share of the first sentences that are a statement, question, exclamation or quotation."""
    output_shapes: dict[str, float]
    own_alike: float | None
    """Share of the pairs of one's texts that begin with the same word."""
    outputs_alike: float | None
    p_value: float | None
    """Share of random divisions of all the texts into two such groups with a difference at least as large."""
    first_sentence: Compared
    why: str = ""

    def sentence(self) -> str:
        """Say in one sentence whether the model begins always alike."""
        if self.own_alike is None or self.outputs_alike is None or self.p_value is None:
            return f"Openings: not enough data to say ({self.why})."
        word, count = next(iter(self.output_words.items()))
        return (
            f"Openings: {self.own_alike:.0%} of the pairs of your texts begin with the same word and "
            f"{self.outputs_alike:.0%} of the model's, most often `{word}` ({count} of "
            f"{sum(self.output_words.values())}); p {self.p_value:.3f}."
        )


def openings(own: Mapping[str, str], outputs: Mapping[str, str], seed: int = 0) -> Openings:
    """Compare how texts begin."""
    firsts = [[found[0] for name in sorted(side) if (found := sentences(prose(side[name])))] for side in (own, outputs)]
    first_words = [[words(sentence)[0] for sentence in side] for side in firsts]
    counts = [dict(sorted(Counter(side).items(), key=lambda one: (-one[1], one[0]))) for side in first_words]
    shapes = [{shape: sum(shape_of(one) == shape for one in side) / len(side) for shape in SHAPES} if side else {}
              for side in firsts]  # fmt: skip
    lengths = [[float(len(words(sentence))) for sentence in side] for side in firsts]
    why = missing_texts(len(firsts[0]), len(firsts[1]))
    first_sentence = compared("Words in the first sentence", "words", lengths[0], lengths[1], 0, why)
    if why:
        return Openings(counts[0], counts[1], shapes[0], shapes[1], None, None, None, first_sentence, why)
    both = np.unique([*first_words[0], *first_words[1]], return_inverse=True)[1]
    is_alike = both[:, None] == both[None, :]
    n = len(first_words[0])

    def alike(order: np.ndarray) -> tuple[float, float]:
        return pairs_alike(is_alike, order[:n]), pairs_alike(is_alike, order[n:])

    own_alike, outputs_alike = alike(np.arange(len(both)))
    draw = numpy_generator(seed, "openings")
    drawn = [abs(np.subtract(*alike(draw.permutation(len(both))))) for _ in range(PERMUTATIONS)]
    as_large = sum(one >= abs(own_alike - outputs_alike) - 1e-12 for one in drawn)
    p_value = (1 + as_large) / (1 + PERMUTATIONS)
    return Openings(counts[0], counts[1], shapes[0], shapes[1], own_alike, outputs_alike, p_value, first_sentence)


def pairs_alike(is_alike: np.ndarray, chosen: np.ndarray) -> float:
    """Return the share of the pairs of chosen texts that are alike."""
    n = len(chosen)
    return float((is_alike[np.ix_(chosen, chosen)].sum() - n) / (n * (n - 1)))


def shape_of(sentence: str) -> str:
    """Return which of the shapes a sentence has."""
    if sentence[:1] in "\"'\u201c\u2018\u00ab\u201e\u300c":
        return "quotation"
    end = sentence.rstrip("\"'\u201d\u2019\u00bb)]")[-1:]
    return "question" if end in "?\uff1f" else "exclamation" if end in "!\uff01" else "statement"
