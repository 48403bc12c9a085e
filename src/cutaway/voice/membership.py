"""Can one tell from the loss alone which texts a model was trained on?

    AUC = P(score of a training answer > score of a held-out answer), ties one half      Mann & Whitney 1947

    by loss      score = - nats a token                              Yeom et al. 2018, arXiv:1709.01604
    calibrated   score = nats a token of the base - of the tuned     Carlini et al. 2022, arXiv:2112.03570, section V;
                                                                     Mireshghallah et al. 2022, arXiv:2203.03929

0.5: no better than a coin; 1: always. Some answers are easier than others for any model; the base's loss takes that out, so
the calibrated attack is the sharper one. Only answers of the same tier and of about the same length (within a factor) are
compared, or the AUC would tell long from short. The interval draws documents of both sides again; p lets them change sides.

An AUC above 0.5 says that the model knows its training texts better than it knows the writer's others: it is what any
training does to some degree, so look at how far above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cutaway.base.errors import UsageError
from cutaway.base.seed import numpy_generator
from cutaway.voice.bootstrap import DRAWS, LEVEL, Interval, from_draws
from cutaway.voice.losses import Losses, PairLoss
from cutaway.voice.student import welch

LENGTH_FACTOR = 1.5
"""Answers whose numbers of tokens differ by more are not compared."""
FEWEST_DOCUMENTS = 3
SHUFFLES = 999
ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Auc:
    """How well one score tells training from held-out answers."""

    score: str
    """`by loss` or `calibrated`."""
    auc: Interval
    p: float | None
    """How often documents that change sides give as much; None: nothing could be compared."""
    n_train: int
    n_held_out: int
    """Documents."""
    n_comparisons: int
    """Pairs of answers compared."""

    @property
    def verdict(self) -> str:
        """`told apart`, `not told apart` or `not enough data`."""
        if self.p is None or min(self.n_train, self.n_held_out) < FEWEST_DOCUMENTS:
            return "not enough data"
        return "told apart" if self.p <= 0.05 else "not told apart"

    def sentence(self) -> str:
        """Say it in words."""
        if self.p is None:
            return (
                f"Whether training texts can be recognised was not measured: no training and held-out answers of one tier "
                f"and about one length ({self.n_train} and {self.n_held_out} documents)."
            )
        how = "by its loss" if self.score == "by loss" else "by how much its loss fell"
        return (
            f"An answer the model trained on is told from a held-out one {how} {self.auc.text('.1%')} of the time, where a "
            f"coin has 50% (p = {self.p:.3g}, {self.n_train} and {self.n_held_out} documents): {self.verdict}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "score": self.score,
            "auc": self.auc.as_dict(),
            "p": self.p,
            "n_train": self.n_train,
            "n_held_out": self.n_held_out,
            "n_comparisons": self.n_comparisons,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Membership:
    """Both attacks."""

    by_loss: Auc
    calibrated: Auc | None
    """None: the base's losses were not given."""

    @property
    def verdict(self) -> str:
        """That of the sharper attack."""
        return (self.calibrated or self.by_loss).verdict

    def sentence(self) -> str:
        """Say it in words."""
        return (self.calibrated or self.by_loss).sentence()

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        calibrated = self.calibrated.as_dict() if self.calibrated else None
        return {"by_loss": self.by_loss.as_dict(), "calibrated": calibrated, "verdict": self.verdict}


def membership(
    train: Losses,
    held_out: Losses,
    base_train: Losses | None = None,
    base_held_out: Losses | None = None,
    seed: int = 0,
    shuffles: int = SHUFFLES,
) -> Membership:
    """Return how well the tuned model's losses tell its training answers from held-out ones.

    Args:
        base_train: the losses of the model it was tuned from, on the same pairs.

    Raises:
        UsageError: the base's losses are of other pairs.
    """
    pairs = [*train.pairs, *held_out.pairs]
    by_loss = _auc("by loss", pairs, [-_rate(pair) for pair in pairs], len(train.pairs), seed, shuffles)
    if base_train is None or base_held_out is None:
        return Membership(by_loss, None)
    before = [*base_train.pairs, *base_held_out.pairs]
    if [(one.name, one.n_targets) for one in before] != [(one.name, one.n_targets) for one in pairs]:
        raise UsageError("the base's losses are of other pairs; give those of the same pairs in the same order")
    fallen = [_rate(old) - _rate(new) for old, new in zip(before, pairs, strict=True)]
    return Membership(by_loss, _auc("calibrated", pairs, fallen, len(train.pairs), seed, shuffles))


def _rate(pair: PairLoss) -> float:
    return pair.nats / pair.n_targets if pair.n_targets else 0.0


def _auc(score: str, pairs: list[PairLoss], values: list[float], n_train: int, seed: int, shuffles: int) -> Auc:
    names = [(place >= n_train, pair.source) for place, pair in enumerate(pairs)]
    documents = sorted(set(names))
    wins, compared = _by_document(pairs, np.array(values), np.array([documents.index(name) for name in names], int))
    is_train = np.array([not held for held, _ in documents], bool)
    sizes = int(is_train.sum()), int((~is_train).sum())
    n = min(sizes)

    def auc(train: NDArray[np.float64], held_out: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return it for rows of how often each document is on each side."""
        with np.errstate(invalid="ignore"):
            return ((train @ wins) * held_out).sum(-1) / ((train @ compared) * held_out).sum(-1)

    own, other = is_train[None].astype(float), (~is_train)[None].astype(float)
    value = float(auc(own, other)[0]) if n else math.nan
    if not math.isfinite(value):
        nothing = Interval(math.nan, math.nan, math.nan, n, "nothing could be compared")
        return Auc(score, nothing, None, *sizes, 0)
    generator = numpy_generator(seed, "membership", score)
    drawn = auc(*(_multiplicities(generator, side) for side in (is_train, ~is_train)))
    left_out = 1 - np.eye(len(documents))
    found = from_draws(value, drawn, auc(own * left_out, other * left_out), n, freedom=welch(*sizes))
    if n > 1 and value in (0.0, 1.0):
        # every held-out document was told apart; one that is not, with a chance of q, was met in none of n
        bound = ((1 - LEVEL) / 2) ** (1 / n)
        low, high = (bound, 1.0) if value else (0.0, 1 - bound)
        found = Interval(value, low, high, n, "exact: the same for every document")
    orders = np.array([generator.permutation(len(documents)) for _ in range(shuffles)])
    shuffled = is_train[orders].astype(float)
    as_much = int((~(auc(shuffled, 1 - shuffled) < value - 1e-12)).sum())
    return Auc(score, found, (1 + as_much) / (1 + shuffles), *sizes, int((own @ compared @ other.T).item()))


def _by_document(
    pairs: list[PairLoss], values: NDArray[np.float64], document: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for every two documents how many of their answers were compared, and how many of the first's won."""
    n = int(document.max(initial=-1)) + 1
    of_document = np.zeros((len(pairs), n))
    of_document[np.arange(len(pairs)), document] = 1
    length = np.log([max(1, pair.n_targets) for pair in pairs])
    tier = np.unique([pair.tier for pair in pairs], return_inverse=True)[1] if pairs else np.zeros(0, int)
    wins, compared = np.zeros((n, n)), np.zeros((n, n))
    for start in range(0, len(pairs), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        alike = np.abs(length[rows, None] - length) <= math.log(LENGTH_FACTOR) + 1e-9
        alike &= (tier[rows, None] == tier) & (document[rows, None] != document)
        higher = (values[rows, None] > values) + 0.5 * (values[rows, None] == values)
        compared += of_document[rows].T @ (alike @ of_document)
        wins += of_document[rows].T @ ((alike * higher) @ of_document)
    return wins, compared


def _multiplicities(generator: np.random.Generator, side: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how often each document of one side is drawn, a row for each draw."""
    members = np.flatnonzero(side)
    counts = np.zeros((DRAWS, len(side)))
    drawn = members[generator.integers(0, len(members), (DRAWS, len(members)))]
    np.add.at(counts, (np.arange(DRAWS)[:, None], drawn), 1)
    return counts
