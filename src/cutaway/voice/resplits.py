"""Other held-out texts, so that a report does not stand on one draw of a dozen.

Two splits of the same texts share most of their training data, so their results are alike, and their spread alone promises
too much. Nadeau & Bengio 2003 (Machine Learning 52) widen it by how much is held out:

    variance of the mean of k splits = (1 / k + held out / trained on) * variance among splits
    interval = mean -+ t sqrt(variance)                            t of Student's distribution, k - 1 degrees of freedom

Training again is what makes a split: measuring one trained model on other texts, which it trained on, would be no such
thing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cutaway.interop.conversations import Conversation
from cutaway.voice.bootstrap import LEVEL, Interval, student_quantile
from cutaway.voice.memorization import texts_of
from cutaway.voice.piece import Block, Piece
from cutaway.voice.split import split


@dataclass(frozen=True)
class Resplit:
    """The same pairs with others held out."""

    seed: int
    train: tuple[Conversation, ...]
    held_out: tuple[Conversation, ...]
    held_out_sources: tuple[str, ...]


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
