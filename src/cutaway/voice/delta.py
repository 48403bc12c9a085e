"""Burrows' Delta: how far a text is from an author's habits, told by the words nobody watches.

    z_w = (rate of w in the text - mean rate of w) / standard deviation       for the most frequent words w
    Delta = mean over w of |z_w|

Burrows 2002 (Literary and Linguistic Computing 17:3). Mean and deviation are those of stretches of one's own writing, so
Delta is a distance from its middle; a stretch of one's own has about 0.8, the mean of |z| of a normal number.
The words are the author's most frequent ones, whatever the language: they are nearly all function words.

Every stretch of one's own is measured against the *other* texts; a stretch of the model's against the same references, one
for each text left out, and the mean taken. All stretches have the same number of words, for rates of short texts vary more:
of a few hundred words Delta is mostly chance. So texts are also taken together, in groups drawn at random (`group_deltas`):

    mean over w of |mean rate in the group - mean rate in the rest| / standard deviation

for groups of one's own against the rest of one's own, and for groups of the model's, as large, against a rest as large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cutaway.base.seed import numpy_generator
from cutaway.voice.prose import words

MOST_FREQUENT = 50
"""Words compared."""
CANDIDATES = 8 * MOST_FREQUENT
SHOWN = 12
DRAWS = 200
NO_SPREAD = 1e-12
"""Rates that differ by rounding only."""


@dataclass(frozen=True)
class WordRate:
    """How often a word is used, per 1,000 words."""

    word: str
    own: float
    """The mean over one's own stretches."""
    low: float
    """The 10th percentile of one's own."""
    high: float
    """The 90th."""
    outputs: float
    """The mean over the model's."""
    z: float
    """Their difference in standard deviations of one's own stretches."""

    def sentence(self) -> str:
        """Say it in one sentence."""
        return (
            f"`{self.word}`: {self.outputs:.1f} of 1,000 words in the model's, {self.own:.1f} in yours "
            f"({self.low:.1f} to {self.high:.1f})."
        )


def deltas(own: Sequence[Sequence[str]], outputs: Sequence[str]) -> tuple[list[float], list[float]]:
    """Return Delta of every stretch of one's own, and of the model's.

    Args:
        own: the stretches of each of one's texts; at least two texts.
        outputs: the model's stretches.
    """
    _, own_SW, outputs_NW = rates(own, outputs)
    text_S = np.repeat(np.arange(len(own)), [len(text) for text in own])
    own_delta_S = np.zeros(len(own_SW))
    outputs_delta_N = np.zeros(len(outputs_NW))
    for text in range(len(own)):
        others = own_SW[text_S != text]
        chosen = np.argsort(-others.mean(0), kind="stable")[:MOST_FREQUENT]
        mean, deviation = others[:, chosen].mean(0), others[:, chosen].std(0, ddof=1)
        varies = deviation > NO_SPREAD
        chosen, mean, deviation = chosen[varies], mean[varies], deviation[varies]
        if not len(chosen):
            continue
        mine = own_SW[text_S == text]
        own_delta_S[text_S == text] = np.abs((mine[:, chosen] - mean) / deviation).mean(1)
        outputs_delta_N += np.abs((outputs_NW[:, chosen] - mean) / deviation).mean(1) / len(own)
    return own_delta_S.tolist(), outputs_delta_N.tolist()


def group_deltas(
    own: Sequence[Sequence[str]], outputs: Sequence[Sequence[str]], seed: int
) -> tuple[int, list[float], list[float]]:
    """Return how many texts a group has, and the distances of groups of one's own and of the model's.

    Args:
        own: the stretches of each of one's texts.
        outputs: those of each of the model's.
    """
    _, own_SW, outputs_SW = rates(own, [part for text in outputs for part in text])
    chosen = np.argsort(-own_SW.mean(0), kind="stable")[:MOST_FREQUENT]
    deviation = own_SW[:, chosen].std(0, ddof=1)
    chosen, deviation = chosen[deviation > NO_SPREAD], deviation[deviation > NO_SPREAD]
    own_NW, outputs_NW = (
        np.array([rows.mean(0) for rows in np.split(side[:, chosen], np.cumsum([len(text) for text in texts])[:-1])])
        for side, texts in ((own_SW, own), (outputs_SW, outputs))
    )
    size = min(len(own) // 2, len(outputs))
    if not len(chosen):
        return size, [0.0] * DRAWS, [0.0] * DRAWS
    draw = numpy_generator(seed, "groups")
    ours, theirs = [], []
    for _ in range(DRAWS):
        order = draw.permutation(len(own))
        rest = own_NW[order[size:]].mean(0)
        group = outputs_NW[draw.permutation(len(outputs))[:size]]
        ours.append(float(np.mean(np.abs(own_NW[order[:size]].mean(0) - rest) / deviation)))
        theirs.append(float(np.mean(np.abs(group.mean(0) - rest) / deviation)))
    return size, ours, theirs


def word_rates(own: Sequence[Sequence[str]], outputs: Sequence[str]) -> tuple[WordRate, ...]:
    """Return the frequent words whose use differs most, the largest difference first."""
    names, own_SW, outputs_NW = rates(own, outputs)
    chosen = np.argsort(-own_SW.mean(0), kind="stable")[:MOST_FREQUENT]
    mean, theirs, deviation = own_SW.mean(0), outputs_NW.mean(0), own_SW.std(0, ddof=1)
    low, high = np.percentile(own_SW, [10, 90], axis=0)
    found = [
        WordRate(
            names[w],
            1000 * float(mean[w]),
            1000 * float(low[w]),
            1000 * float(high[w]),
            1000 * float(theirs[w]),
            float((theirs[w] - mean[w]) / deviation[w]),
        )
        for w in chosen
        if deviation[w] > NO_SPREAD
    ]
    return tuple(sorted(found, key=lambda one: (-abs(one.z), one.word))[:SHOWN])


def rates(own: Sequence[Sequence[str]], outputs: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return one's own frequent words, and their share of each stretch's words (a row a stretch)."""
    counted = [Counter(words(stretch)) for text in own for stretch in text]
    theirs = [Counter(words(stretch)) for stretch in outputs]
    total: Counter[str] = Counter()
    for one in counted:
        total.update(one)
    names = sorted(total, key=lambda word: (-total[word], word))[:CANDIDATES]
    own_SW, outputs_NW = (
        np.array([[one[name] / max(1, one.total()) for name in names] for one in side]).reshape(len(side), len(names))
        for side in (counted, theirs)
    )
    return names, own_SW, outputs_NW
