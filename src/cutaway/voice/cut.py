"""Both sides cut alike: stretches of the same number of words, as many as nearly every text has.

Nearly every figure of a text depends on its length (a longer one repeats more words and varies less in its rates), so
only parts of the same length are compared. What is left over at a text's end, and texts that are shorter, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cutaway.voice.prose import prose, stretches, word_pattern
from cutaway.voice.yardstick import LEAST_TEXTS, missing_texts


@dataclass(frozen=True)
class Cut:
    """Two sides of texts in stretches."""

    n_words: int
    """Of every stretch; 0: the texts are too short."""
    own: list[list[str]]
    """The stretches of each of one's texts that has one."""
    outputs: list[list[str]]
    missing: str
    """What is missing for a comparison, if anything."""

    def flat(self) -> tuple[list[str], list[str]]:
        """Return the stretches of each side."""
        return [part for text in self.own for part in text], [part for text in self.outputs for part in text]


def cut(own: Mapping[str, str], outputs: Mapping[str, str], most: int, least: int) -> Cut:
    """Cut two sides of texts, in the order of their names.

    Args:
        most: words of a stretch.
        least: words of a stretch; where nearly all texts are shorter there is nothing to compare.
    """
    ours, theirs = ([prose(side[name]) for name in sorted(side)] for side in (own, outputs))
    n_words = common_length(ours, theirs, most=most, least=least)
    if not n_words:
        return Cut(0, [], [], f"too few of the texts have {least} words")
    parts = [[found for text in side if (found := stretches(text, n_words))] for side in (ours, theirs)]
    return Cut(n_words, parts[0], parts[1], missing_texts(len(parts[0]), len(parts[1])))


def common_length(*groups: Sequence[str], most: int, least: int, share: float = 0.8) -> int:
    """Return how many words nearly all texts of every group have, at most `most`; 0 where that is below `least`.

    Args:
        share: of each group that must have so many, but at least as many texts as a comparison needs.
    """
    length = most
    for texts in groups:
        counts = sorted((len(word_pattern(text).findall(text)) for text in texts), reverse=True)
        needed = max(round(share * len(counts)), min(LEAST_TEXTS, len(counts)))
        length = min(length, counts[needed - 1] if counts else 0)
    return length if length >= least else 0
