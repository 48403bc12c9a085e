"""Other held-out texts, so that a report does not stand on one draw of a dozen.

Two splits of the same texts share most of their training data, so their results are alike, and their spread alone promises
too much. Nadeau & Bengio 2003 (Machine Learning 52) widen it by how much is held out:

    variance of the mean of k splits = (1 / k + held out / trained on) * variance among splits
    interval = mean -+ t sqrt(variance)                            t of Student's distribution, k - 1 degrees of freedom

Training again is what makes a split: measuring one trained model on other texts, which it trained on, would be no such
thing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cutaway.base.runs import RunFolder
from cutaway.interop.conversations import Conversation
from cutaway.voice.bootstrap import LEVEL, Interval
from cutaway.voice.memorization import texts_of
from cutaway.voice.piece import Block, Piece
from cutaway.voice.split import split
from cutaway.voice.student import student_quantile

FEWEST_SPLITS = 3


@dataclass(frozen=True)
class Resplit:
    """The same pairs with others held out."""

    seed: int
    train: tuple[Conversation, ...]
    held_out: tuple[Conversation, ...]
    held_out_sources: tuple[str, ...]
    held_out_share: float
    """Of the documents."""


def resplit(train: Sequence[Conversation], held_out: Sequence[Conversation], seed: int) -> Resplit:
    """Part all pairs again, by document, as many documents held out as before; near copies stay together.

    Raises:
        DataError: there are too few documents that are unlike all others.
    """
    every = [*train, *held_out]
    texts = texts_of(every)
    names = [str(one.about.get("source") or f"pair {number}") for number, one in enumerate(every, 1)]
    n_held_out = len(set(names[len(train) :]))
    pieces = [Piece(name, "", "essay", "", (Block("paragraph", text),)) for name, text in texts.items()]
    parted = split(pieces, n_held_out / len(pieces), seed)
    held = set(parted.held_out)
    return Resplit(
        seed,
        tuple(one for one, name in zip(every, names, strict=True) if name not in held),
        tuple(one for one, name in zip(every, names, strict=True) if name in held),
        tuple(parted.held_out),
        len(parted.held_out) / len(pieces),
    )


def over_splits(values: ArrayLike, held_out_share: float, level: float = LEVEL) -> Interval:
    """Return the mean of a figure over splits with the interval explained above.

    Args:
        values: one for each split, each of a training of its own.
        held_out_share: of the documents.
    """
    given = np.asarray(values, np.float64)
    given = given[np.isfinite(given)]
    k = len(given)
    if k < 2:
        value = float(given[0]) if k else math.nan
        return Interval(value, math.nan, math.nan, k, f"{k} split{'s' if k != 1 else ''} cannot vary", level)
    beside = held_out_share / (1 - held_out_share)
    reach = student_quantile((1 + level) / 2, k - 1) * math.sqrt((1 / k + beside) * float(given.var(ddof=1)))
    value = float(given.mean())
    return Interval(value, value - reach, value + reach, k, f"{k} splits, corrected for what they share", level)


@dataclass(frozen=True)
class SplitLosses:
    """What one training with other texts held out came to."""

    seed: int
    held_out_sources: tuple[str, ...]
    held_out_share: float
    """Of the documents."""
    steps: int
    base_bits: float
    tuned_bits: float
    """Bits a byte on the held-out answers, before and after."""
    train_nats: float
    held_out_nats: float
    """Nats a token, after."""


def read_splits(run: RunFolder) -> list[SplitLosses]:
    """Return the finished splits of a run; one whose file is broken counts as not done."""
    found = []
    for path in sorted(splits_folder(run).glob("*.json"), key=lambda path: path.name.zfill(20)):
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            found.append(SplitLosses(**said | {"held_out_sources": tuple(said["held_out_sources"])}))
        except (OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            continue
    return found


def splits_folder(run: RunFolder) -> Path:
    """Return where a run's finished splits are kept."""
    return run.path / "splits"


@dataclass(frozen=True)
class OverSplits:
    """The figures of a run over trainings with other texts held out."""

    splits: tuple[SplitLosses, ...]
    base_bits: Interval
    tuned_bits: Interval
    change: Interval
    """Tuned less base, bits a byte on held-out answers."""
    gap: Interval
    """Held-out less training loss of the tuned models, nats a token."""

    @property
    def verdict(self) -> str:
        """`lower`, `higher`, `no clear change` or `not enough data` (fewer than three splits)."""
        if len(self.splits) < FEWEST_SPLITS:
            return "not enough data"
        return "lower" if self.change.below(0) else "higher" if self.change.above(0) else "no clear change"

    def sentence(self) -> str:
        """Say it in words."""
        if not self.splits:
            return "The training was not repeated with other texts held out, so it stands on one split."
        better = sum(one.tuned_bits < one.base_bits for one in self.splits)
        return (
            f"Trained {len(self.splits)} times with other texts held out, the model foretells held-out writing better than "
            f"the base {better} times: {self.tuned_bits.text('.3f')} bits a byte, a change of {self.change.text('+.3f')}; "
            f"the gap to the training texts is {self.gap.text('+.3f')} nats a token."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        intervals = {name: getattr(self, name).as_dict() for name in ("base_bits", "tuned_bits", "change", "gap")}
        return intervals | {"verdict": self.verdict, "splits": [vars(one) for one in self.splits]}


def summarize_splits(splits: Sequence[SplitLosses]) -> OverSplits:
    """Return what trainings with other texts held out say together."""
    share = float(np.mean([one.held_out_share for one in splits])) if splits else 0.0
    return OverSplits(
        tuple(splits),
        over_splits([one.base_bits for one in splits], share),
        over_splits([one.tuned_bits for one in splits], share),
        over_splits([one.tuned_bits - one.base_bits for one in splits], share),
        over_splits([one.held_out_nats - one.train_nats for one in splits], share),
    )
