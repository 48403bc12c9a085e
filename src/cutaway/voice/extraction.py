"""Does the model go on with its training texts word for word, given how they begin?

    extracted: after a prefix of a training answer, the likeliest next token, m times, is the answer's      k prefix tokens

Carlini et al. 2022 (arXiv:2202.07646). Writing greedily gives the text if and only if each of its tokens is the likeliest
after those before it, so one reading of each answer tells it for every place, without writing. The prompt the answer was
trained with stands before the prefix: whoever asks for a training text will ask as it was trained.

Changed by a word it is still copied (Ippolito et al. 2022, arXiv:2210.17546), so some places are written as well:

    similarity = 1 - edits / m   on tokens (Levenshtein)            approximately extracted: above 0.75

Held-out answers tell how much of this is chance: set phrases go on as they must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer
from cutaway.tune.examples import Example
from cutaway.voice.bootstrap import Interval, rate
from cutaway.voice.losses import document_of
from cutaway.voice.permutation import permutation_p
from cutaway.voice.scoring import scores

BPE_TOKENS, CHARACTER_TOKENS = 32, 120
"""About as many words either way."""
SIMILAR = 0.75
WRITTEN = 24
"""Places written on each side."""
FEWEST_DOCUMENTS = 3
SHOWN_TOKENS = 60


@dataclass(frozen=True)
class Place:
    """A stretch of an answer that the model was asked for."""

    side: Literal["train", "held out"]
    source: str
    before: str
    """The end of what the model was given."""
    text: str
    """What follows in the answer."""
    is_exact: bool
    written: str | None = None
    """What the model wrote; None where it was not let write."""
    similarity: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Rates:
    """One kind of extraction, of training and of held-out answers."""

    train: Interval
    held_out: Interval
    p: float | None
    """How often documents that change sides give as large a difference."""
    n_train: int
    n_held_out: int
    """Places."""

    @property
    def verdict(self) -> str:
        """`extracted`, `not extracted` or `not enough data`."""
        if self.p is None or min(self.train.n, self.held_out.n) < FEWEST_DOCUMENTS:
            return "not enough data"
        return "extracted" if self.p <= 0.05 else "not extracted"

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "train": self.train.as_dict(),
            "held_out": self.held_out.as_dict(),
            "p": self.p,
            "n_train": self.n_train,
            "n_held_out": self.n_held_out,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Extraction:
    """How much of its training answers a model gives back."""

    prefix: int
    """Tokens of the answer the model is given, at least, and"""
    length: int
    """tokens it must go on with."""
    exact: Rates
    approximate: Rates
    places: tuple[Place, ...]
    """Those the model was let write, the most alike first."""

    @property
    def verdict(self) -> str:
        """`extracted` if either kind is, `not extracted` or `not enough data`."""
        both = self.exact.verdict, self.approximate.verdict
        return next((one for one in ("extracted", "not extracted") if one in both), "not enough data")

    def sentence(self) -> str:
        """Say it in words."""
        if not self.exact.n_train:
            return (
                f"Extraction was not measured: no training answer has {self.prefix + self.length} tokens "
                f"({self.prefix} to begin with and {self.length} to go on)."
            )
        said = (
            f"Given its prompt and at least {self.prefix} tokens of a training answer, the model goes on with the next "
            f"{self.length} exactly in {self.exact.train.text('.1%')} of {self.exact.n_train} places"
        )
        if not self.exact.n_held_out:
            return f"{said}; there are no held-out answers long enough to compare with."
        near = self.approximate
        return (
            f"{said}, with held-out answers in {self.exact.held_out.text('.1%')}; nearly so (edit similarity above "
            f"{SIMILAR}) in {near.train.text('.1%')} and {near.held_out.text('.1%')}: {self.verdict}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "prefix": self.prefix,
            "length": self.length,
            "exact": self.exact.as_dict(),
            "approximate": self.approximate.as_dict(),
            "verdict": self.verdict,
            "places": [place.as_dict() for place in self.places],
        }


def extraction(
    model: Decoder,
    tokenizer: Tokenizer,
    train: Sequence[Example],
    held_out: Sequence[Example],
    *,
    prefix: int | None = None,
    length: int | None = None,
    written: int = WRITTEN,
    seed: int = 0,
) -> Extraction:
    """Return how often the model goes on with training answers, beside held-out ones.

    Args:
        prefix: tokens of the answer it is given, at least; left out: 32, or 120 characters.
        length: tokens it must go on with.
        written: places on each side at which it is let write, to find near copies.

    Raises:
        UsageError: a number below 1.
    """
    usual = CHARACTER_TOKENS if tokenizer.kind == "characters" else BPE_TOKENS
    k, m = prefix or usual, length or usual
    if min(k, m, written) < 1:
        raise UsageError(f"prefix {prefix}, length {length}, written {written}; expected 1 or more of each")
    sides: tuple[tuple[Literal["train", "held out"], Sequence[Example]], ...]
    sides = (("train", train), ("held out", held_out))
    exact, near, tried, shown = [], [], [], []
    for side, examples in sides:
        found = _places(model, examples, k, m)
        exact.append(_by_document([(where.source, float(where.is_exact)) for where in found]))
        tried.append(len(found))
        places = [_write(model, tokenizer, side, where, m) for where in _spread(found, written)]
        near.append(_by_document([(place.source, float((place.similarity or 0) > SIMILAR)) for place in places]))
        shown += places
    counts = [min(written, number) for number in tried]
    return Extraction(
        k,
        m,
        _rates(exact[0], exact[1], tried[0], tried[1], seed),
        _rates(near[0], near[1], counts[0], counts[1], seed),
        tuple(sorted(shown, key=lambda place: -(place.similarity or 0))),
    )


@dataclass(frozen=True)
class _Where:
    """The first token to be written, in an example."""

    example: Example
    at: int
    is_exact: bool

    @property
    def source(self) -> str:
        return document_of(self.example)


def _places(model: Decoder, examples: Sequence[Example], k: int, m: int) -> list[_Where]:
    """Return stretches of m answer tokens, side by side, each with k of the same answer before it."""
    found = []
    for example, read in zip(examples, scores(model, [one.tokens for one in examples]), strict=True):
        run = 0
        for at in range(1, len(read.is_likeliest_T) + 2 - m):
            run = run + 1 if example.is_learned[at - 1] else 0
            if run >= k and (run - k) % m == 0 and example.is_learned[at : at + m].all():
                found.append(_Where(example, at, bool(read.is_likeliest_T[at - 1 : at - 1 + m].all())))
    return found


def _spread(found: list[_Where], most: int) -> list[_Where]:
    """Return so many places, a first one of each document before a second one of any."""
    seen: dict[str, int] = {}
    ranked = []
    for order, where in enumerate(found):
        seen[where.source] = seen.get(where.source, 0) + 1
        ranked.append((seen[where.source], order))
    return [found[order] for _, order in sorted(ranked)[:most]]


def _write(model: Decoder, tokenizer: Tokenizer, side: Literal["train", "held out"], where: _Where, m: int) -> Place:
    """Let the model write at a place; where it is known to give the text exactly, that is what it writes."""
    tokens = where.example.tokens.tolist()
    asked, wanted = tokens[: where.at], tokens[where.at : where.at + m]
    got = wanted
    if not where.is_exact:
        got = generate(model, tokenizer, asked, SamplingConfig(max_tokens=m, temperature=0.0))[0].tokens
    return Place(
        side,
        where.source,
        tokenizer.decode(asked[-SHOWN_TOKENS:]),
        tokenizer.decode(wanted),
        where.is_exact,
        tokenizer.decode(got),
        edit_similarity(got, wanted),
    )


def edit_similarity(one: Sequence[int], other: Sequence[int]) -> float:
    """Return 1 less the share of items to insert, delete or change to make one the other (Levenshtein 1966)."""
    if not one and not other:
        return 1.0
    row = np.arange(len(other) + 1)
    items = np.asarray(other)
    steps = np.arange(len(other) + 1)
    for number, item in enumerate(one, 1):
        new = np.concatenate([[number], np.minimum(row[1:] + 1, row[:-1] + (items != item))])
        row = np.minimum.accumulate(new - steps) + steps  # insertions, from the left on
    return 1 - float(row[-1]) / max(len(one), len(other))


def _by_document(hits: list[tuple[str, float]]) -> np.ndarray:
    """Return hits and trials of each document."""
    rows: dict[str, list[float]] = {}
    for source, hit in hits:
        row = rows.setdefault(source, [0.0, 0.0])
        row[0] += hit
        row[1] += 1
    return np.array(list(rows.values()), float).reshape(-1, 2)


def _rates(train: np.ndarray, held_out: np.ndarray, n_train: int, n_held_out: int, seed: int) -> Rates:
    return Rates(
        rate(train[:, 0], train[:, 1], seed),
        rate(held_out[:, 0], held_out[:, 1], seed),
        permutation_p(train, held_out, seed=seed),
        n_train,
        n_held_out,
    )
