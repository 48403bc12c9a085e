"""How well a model foretells answers it never saw, against those it learned from, and against the model it was.

    loss of a pair = - sum over the tokens of the answer, its end included, of ln p(token | all before)
    nats a token   = sum of losses / sum of tokens         bits a byte = sum of losses / ln 2 / bytes of the answers (UTF-8)

Bits a byte compare between models with different tokenizers. Every figure has an interval over documents
(`bootstrap.py`); base and tuned are compared pair by pair, so that what makes one document harder than another cancels.

    gap = held-out loss - training loss of the tuned model: what it knows of its own examples beyond the kind

Look at the single surprisals, before and after: they show in which words the voice is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cutaway.base.errors import UsageError
from cutaway.models.decoder import Decoder
from cutaway.text.pieces import token_texts
from cutaway.text.tokenizer import Tokenizer
from cutaway.tune.examples import Example
from cutaway.voice.bootstrap import Interval, bootstrap, difference, ratio
from cutaway.voice.scoring import scores


@dataclass(frozen=True)
class PairLoss:
    """One answer under one model."""

    name: str
    source: str
    """The document the pair was cut from."""
    tier: str
    pieces: tuple[str, ...]
    """The answer's tokens as text, as far as they were read; of a character in parts the last has all of it."""
    nats_T: NDArray[np.float64]
    """The surprisal of each."""
    n_bytes: int
    """Of the answer, as far as it was read."""
    n_cut: int
    """Tokens of the answer behind the end of the context."""

    @property
    def nats(self) -> float:
        """The loss of the whole answer."""
        return float(self.nats_T.sum())

    @property
    def n_targets(self) -> int:
        """How many tokens that is."""
        return len(self.nats_T)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, token by token."""
        return {
            "name": self.name,
            "source": self.source,
            "tier": self.tier,
            "nats": self.nats,
            "n_targets": self.n_targets,
            "n_bytes": self.n_bytes,
            "n_cut": self.n_cut,
            "tokens": [[piece, round(float(nats), 4)] for piece, nats in zip(self.pieces, self.nats_T, strict=True)],
        }


@dataclass(frozen=True)
class Losses:
    """All answers of a file under one model."""

    pairs: tuple[PairLoss, ...]
    seed: int = 0

    @property
    def sources(self) -> list[str]:
        """The document of every pair."""
        return [pair.source for pair in self.pairs]

    @property
    def rows(self) -> NDArray[np.float64]:
        """Nats, tokens and bytes of every pair."""
        return np.array([[pair.nats, pair.n_targets, pair.n_bytes] for pair in self.pairs], float).reshape(-1, 3)

    @cached_property
    def nats(self) -> Interval:
        """Nats a token."""
        return bootstrap(self.rows, ratio, self.seed, self.sources)

    @cached_property
    def bits_per_byte(self) -> Interval:
        """Bits a byte."""
        return bootstrap(self.rows, bits_of, self.seed, self.sources)

    def sentence(self, of: str = "the held-out answers") -> str:
        """Say it in words."""
        return (
            f"On {of} ({len(self.pairs)} pairs of {self.nats.n} documents) the model loses {self.nats.text('.3f')} nats "
            f"a token, which is {self.bits_per_byte.text('.3f')} bits a byte."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "nats": self.nats.as_dict(),
            "bits_per_byte": self.bits_per_byte.as_dict(),
            "n_pairs": len(self.pairs),
            "n_documents": self.nats.n,
            "n_targets": sum(pair.n_targets for pair in self.pairs),
            "n_cut": sum(pair.n_cut for pair in self.pairs),
        }


def bits_of(rows: NDArray[np.float64]) -> float:
    """Return bits a byte of rows of nats, tokens, bytes."""
    n_bytes = rows[:, 2].sum()
    return float(rows[:, 0].sum() / math.log(2) / n_bytes) if n_bytes else math.nan


def document_of(example: Example) -> str:
    """Return the document an example was cut from; one that does not say stands for itself."""
    return str(example.about.get("source") or example.name)


def response_losses(model: Decoder, tokenizer: Tokenizer, examples: Sequence[Example], seed: int = 0) -> Losses:
    """Return what every answer costs the model, token by token.

    Args:
        examples: as training reads them (`tune.examples.make_example`), in the tuned model's form for its base as well.
    """
    found = scores(model, [example.tokens for example in examples])
    pairs = (_pair_loss(tokenizer, example, mine.nats_T) for example, mine in zip(examples, found, strict=True))
    return Losses(tuple(pairs), seed)


def _pair_loss(tokenizer: Tokenizer, example: Example, nats_T: NDArray[np.float64]) -> PairLoss:
    places = np.flatnonzero(example.is_learned)
    places = places[places > 0]
    seen = places[places <= len(nats_T)]
    ids = example.tokens[seen].tolist()
    return PairLoss(
        example.name,
        document_of(example),
        str(example.about.get("tier") or ""),
        token_texts(tokenizer, ids),
        nats_T[seen - 1],
        example.n_bytes if len(seen) == len(places) else len(tokenizer.decode(ids).encode()),
        len(places) - len(seen),
    )


@dataclass(frozen=True)
class LossChange:
    """The same answers under two models."""

    base: Losses
    tuned: Losses
    difference: Interval
    """Tuned less base, nats a token: below 0 is better."""
    bits_difference: Interval
    """The same in bits a byte."""

    @property
    def verdict(self) -> str:
        """`lower`, `higher` or `no clear change`."""
        if self.bits_difference.below(0):
            return "lower"
        return "higher" if self.bits_difference.above(0) else "no clear change"

    def sentence(self) -> str:
        """Say it in words."""
        base, tuned, change = self.base.bits_per_byte, self.tuned.bits_per_byte, self.bits_difference
        meaning = {
            "lower": "the tuned model foretells this writing better than the base",
            "higher": "the tuned model foretells this writing worse than the base",
            "no clear change": "0 is within the interval: no clear change",
        }[self.verdict]
        return (
            f"Held-out writing costs the base {base.text('.3f')} and the tuned model {tuned.text('.3f')} bits a byte; "
            f"document by document the change is {change.text('+.3f')}: {meaning}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "base": self.base.as_dict(),
            "tuned": self.tuned.as_dict(),
            "difference": self.difference.as_dict(),
            "bits_difference": self.bits_difference.as_dict(),
            "verdict": self.verdict,
        }


def compare_losses(base: Losses, tuned: Losses) -> LossChange:
    """Return how the loss of the same pairs changed, drawn document by document for both.

    Raises:
        UsageError: they are not losses of the same pairs.
    """
    if [(one.source, one.n_bytes) for one in base.pairs] != [(one.source, one.n_bytes) for one in tuned.pairs]:
        raise UsageError("losses are compared on the same pairs, read as far; these are of others")
    both = np.concatenate([base.rows, tuned.rows], 1)
    sources, seed = tuned.sources, tuned.seed
    return LossChange(
        base,
        tuned,
        bootstrap(both, lambda rows: ratio(rows[:, 3:]) - ratio(rows[:, :3]), seed, sources),
        bootstrap(both, lambda rows: bits_of(rows[:, 3:]) - bits_of(rows[:, :3]), seed, sources),
    )


@dataclass(frozen=True)
class Gap:
    """A model's loss on what it learned from and on what it never saw."""

    train: Losses
    held_out: Losses
    difference: Interval
    """Held-out less training, nats a token."""

    def sentence(self) -> str:
        """Say it in words."""
        return (
            f"The model loses {self.train.nats.text('.3f')} nats a token on answers it trained on and "
            f"{self.held_out.nats.text('.3f')} on held-out ones: a gap of {self.difference.text('+.3f')}; the larger, the "
            f"more it knows of these very texts."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "train": self.train.as_dict(),
            "held_out": self.held_out.as_dict(),
            "difference": self.difference.as_dict(),
        }


def gap(train: Losses, held_out: Losses) -> Gap:
    """Return the gap between training and held-out answers of one model."""
    found = difference(train.rows, held_out.rows, ratio, train.seed, train.sources, held_out.sources)
    return Gap(train, held_out, found)
