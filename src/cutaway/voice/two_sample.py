"""Can a machine tell? A classifier two-sample test: one's own writing against a model's.

If two sets of texts come from one source, no classifier can tell which set a text it has not seen is from; so how well
one does it is a test statistic (Lopez-Paz and Oquab 2017, arXiv:1610.06545). From every text one stretch is taken, all
of the same number of words, so a text is never on both sides of a cross-validation. The classifier is ridge regression on
labels +1 and -1 (Fisher's discriminant with a penalty), for which what it says of texts left out has a closed form:

    y_S - (I - H_SS)^-1 (y - H y)_S        H: the matrix that makes fitted labels of labels

Every pair of one text of each side is left out in turn; the statistic is the share of pairs in which one's own text
gets the higher score (the area under the ROC curve without the bias of leaving out single texts, Airola et al. 2011).
The p-value: labels are dealt out anew among the texts many times; p = (1 + times at least as good) / (1 + times),
which is never 0 (Phipson and Smyth 2010), and exact: for one source every p is equally likely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.base.seed import numpy_generator
from cutaway.voice.cut import cut
from cutaway.voice.features import Features, features_of
from cutaway.voice.yardstick import TOO_LITTLE, as_plain

MOST_WORDS, LEAST_WORDS = 1000, 80
"""Of the stretch of each text."""
SIGNIFICANT = 0.05
TELLS = 10
TOLD: Final = "told apart"
NOT_TOLD: Final = "not told apart"


class Trained(Protocol):
    """Anything that was trained on texts and remembers them."""

    def has_seen(self, text: str) -> bool:
        """Whether the text was among them."""


@dataclass(frozen=True)
class Tell:
    """Something that tells the two apart."""

    feature: str
    """A word, a mark, two tokens that follow each other (`*`: any rarer word), or letters."""
    own_rate: float
    """In 1,000 words; of letters, in 1,000 characters."""
    output_rate: float
    weight: float
    """Its part of the distance between the mean scores of the two sides; all parts make 1."""
    example: str
    """A place in the side that has more of it, from the text that has most."""


@dataclass(frozen=True)
class TwoSample:
    """How well a classifier tells one's own writing from a model's."""

    n_own: int
    """Texts that are long enough."""
    n_outputs: int
    n_words: int
    """Taken of each."""
    auc: float | None
    """Share of pairs of one text of each side in which it knows which is which; 0.5 is guessing."""
    accuracy: float | None
    """Share of left-out texts it puts on the right side; 0.5 is guessing."""
    p_value: float | None
    permutations: int
    verdict: Literal["told apart", "not told apart", "not enough data"]
    why: str
    tells: tuple[Tell, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, and the sentence."""
        return as_plain(self) | {"sentence": self.sentence()}

    def sentence(self) -> str:
        """Say the result in one sentence."""
        if self.auc is None or self.p_value is None:
            return f"Can a machine tell? Not enough data to say ({self.why})."
        told = "It can" if self.verdict == TOLD else "No sign that it can"
        return (
            f"Can a machine tell? {told}: shown one text of yours and one of the model's ({self.n_words} words each), it "
            f"knows which is which in {self.auc:.0%} of the cases, where guessing gives 50 % (p {self.p_value:.3f}; "
            f"{self.n_own} texts of yours, {self.n_outputs} of the model's)."
        )


def two_sample(
    own: Mapping[str, str],
    outputs: Mapping[str, str],
    permutations: int = 999,
    seed: int = 0,
    seen_by: Sequence[Trained] = (),
) -> TwoSample:
    """Test whether a classifier can tell one's own writing from a model's.

    Args:
        own: texts that nothing here was trained on, by name.
        outputs: the model's.
        seen_by: what was trained to tell such texts apart and was used to choose the outputs; it must not have seen
            any of these texts, or the test would be of its own making.

    Raises:
        UsageError: one of `seen_by` was trained on one of the texts.
    """
    for trained in seen_by:
        for name, text in [*own.items(), *outputs.items()]:
            if trained.has_seen(text):
                raise UsageError(
                    f"the text {name!r} was used to train the ranking of the outputs, so it cannot judge them; "
                    f"keep texts for the test that the ranking never saw"
                )
    parts = cut(own, outputs, MOST_WORDS, LEAST_WORDS)
    ours, theirs = ([text[0] for text in side] for side in (parts.own, parts.outputs))
    if parts.missing:
        return TwoSample(
            len(ours), len(theirs), parts.n_words, None, None, None, 0, TOO_LITTLE, parts.missing, ()
        )  # fmt: skip
    texts = [*ours, *theirs]
    features, rates = features_of(texts)
    x_NF = (rates - features.mean) * features.scale
    label_N = np.repeat([1.0, -1.0], [len(ours), len(theirs)])
    fit = Ridge.of(x_NF)
    auc, accuracy = fit.pairs_told(label_N[:, None])
    draw = numpy_generator(seed, "two samples")
    shuffled_NP = np.stack([draw.permutation(label_N) for _ in range(permutations)], axis=1)
    at_least = int((fit.pairs_told(shuffled_NP)[0] >= auc[0] - 1e-12).sum())
    p_value = (1 + at_least) / (1 + permutations)
    return TwoSample(
        len(ours),
        len(theirs),
        parts.n_words,
        float(auc[0]),
        float(accuracy[0]),
        p_value,
        permutations,
        TOLD if p_value <= SIGNIFICANT else NOT_TOLD,
        "",
        tells(features, rates, fit.weights(x_NF, label_N), texts, len(ours)),
    )


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on labels: rows have mean 0; the penalty is the mean eigenvalue of their products."""

    hat_NN: np.ndarray
    dual_NN: np.ndarray
    """Makes of labels the weight of each row."""

    @classmethod
    def of(cls, x_NF: np.ndarray) -> Ridge:
        """Prepare for rows."""
        n = len(x_NF)
        x_NF = x_NF - x_NF.mean(0)
        products_NN = x_NF @ x_NF.T
        penalty = max(float(np.trace(products_NN)) / n, 1e-9)
        dual_NN = np.linalg.inv(products_NN + penalty * np.eye(n))
        return cls(1 / n + products_NN @ dual_NN, dual_NN)

    def weights(self, x_NF: np.ndarray, label_N: np.ndarray) -> np.ndarray:
        """Return the weight of each column."""
        return (x_NF - x_NF.mean(0)).T @ (self.dual_NN @ (label_N - label_N.mean()))

    def pairs_told(self, labels_NP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return, for each column of labels, the share of pairs told and of left-out texts put on the right side."""
        residual_NP = labels_NP - self.hat_NN @ labels_NP
        free_NN = np.eye(len(self.hat_NN)) - self.hat_NN
        auc, accuracy = np.zeros(labels_NP.shape[1]), np.zeros(labels_NP.shape[1])
        for p, label_N in enumerate(labels_NP.T):
            a, b = np.flatnonzero(label_N > 0), np.flatnonzero(label_N < 0)
            faa, fbb, fab = free_NN[a, a][:, None], free_NN[b, b][None, :], free_NN[np.ix_(a, b)]
            ra, rb = residual_NP[a, p][:, None], residual_NP[b, p][None, :]
            determinant = faa * fbb - fab * fab
            score_a = 1 - (fbb * ra - fab * rb) / determinant
            score_b = -1 - (faa * rb - fab * ra) / determinant
            apart = score_a - score_b
            auc[p] = ((apart > 1e-12).mean() + (apart >= -1e-12).mean()) / 2
            accuracy[p] = ((score_a > 0).mean() + (score_b < 0).mean()) / 2
        return auc, accuracy


def tells(
    features: Features, rates_NF: np.ndarray, weight_F: np.ndarray, texts: Sequence[str], n_own: int
) -> tuple[Tell, ...]:
    """Return what tells most: the largest parts of the distance between the two sides' mean scores."""
    own_F, other_F = rates_NF[:n_own].mean(0), rates_NF[n_own:].mean(0)
    part_F = weight_F * features.scale * (own_F - other_F)
    names = features.names
    found = []
    for f in np.argsort(-part_F, kind="stable")[: min(TELLS, int((part_F > 0).sum()))]:
        more = slice(0, n_own) if own_F[f] > other_F[f] else slice(n_own, None)
        text = texts[more][int(np.argmax(rates_NF[more, f]))]
        share = float(part_F[f] / part_F.sum())
        rates = 1000 * float(own_F[f]), 1000 * float(other_F[f])
        found.append(Tell(names[f], *rates, share, features.example(int(f), text)))
    return tuple(found)
