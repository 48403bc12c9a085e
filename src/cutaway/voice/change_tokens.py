"""Which tokens became likelier, and which less, when a model was tuned.

    gain of a token = log2 p_tuned - log2 p_base     bits, given the same tokens before it

One at a time in their sentences, and by kind of token: the mean gain wherever that token stands. Read the two lists of
kinds first: function words and marks of punctuation there are habits of writing, names and rare words are subject matter.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cutaway.base.errors import DataError
from cutaway.models.decoder import Decoder
from cutaway.notebook import Figure, Shown
from cutaway.notebook.still import Still
from cutaway.text.pieces import token_texts
from cutaway.text.tokenizer import Tokenizer
from cutaway.tune.examples import Example
from cutaway.voice.scoring import scores

BEFORE, AFTER = 10, 5
"""Tokens shown around one."""
SHOWN = 20
FEWEST = 3
"""A kind of token met less often says nothing of the kind."""


@dataclass(frozen=True)
class TokenChange:
    """One token in its sentence."""

    document: str
    place: int
    text: str
    before: float
    """Its probability under the base."""
    after: float
    """Under the tuned model."""
    gain_bits: float
    left: str
    """The text before it."""
    right: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class KindChange:
    """One token wherever it stands."""

    text: str
    count: int
    gain_bits: float
    """Mean over its places."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class ReadDocument(Shown):
    """A document's tokens, each with its surprisal under both models, in bits; NaN where it does not count."""

    name: str
    pieces: tuple[str, ...]
    before_bits_T: NDArray[np.float64]
    after_bits_T: NDArray[np.float64]

    @property
    def gain_bits_T(self) -> NDArray[np.float64]:
        """How much likelier each became."""
        return self.before_bits_T - self.after_bits_T

    def show(self) -> Figure:
        """Return the text, every token coloured by what it gained."""
        order = np.argsort(-np.abs(np.nan_to_num(self.gain_bits_T)))
        rows = [
            [str(t), repr(self.pieces[t]), f"{self.before_bits_T[t]:.2f}", f"{self.after_bits_T[t]:.2f}"]
            for t in order[:SHOWN]
            if not math.isnan(self.gain_bits_T[t])
        ]
        about = "Bits each token takes: the base first, the tuned model second."
        still = Still(self.name, ["token", "text", "before", "after"], rows, about, "the largest changes first")
        data = {
            "pieces": list(self.pieces),
            "bits_per_byte": None,
            "first": self.before_bits_T,
            "second": self.after_bits_T,
        }
        return Figure("comparison", data, still).show()

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        gains = [None if math.isnan(gain) else round(float(gain), 4) for gain in self.gain_bits_T]
        return {"name": self.name, "pieces": list(self.pieces), "gain_bits": gains}


@dataclass(frozen=True)
class TokenChanges:
    """What became of the probabilities of a text's tokens."""

    gained: tuple[TokenChange, ...]
    """Likelier by most first; of each token the place where it gained most."""
    lost: tuple[TokenChange, ...]
    kinds_gained: tuple[KindChange, ...]
    kinds_lost: tuple[KindChange, ...]
    documents: tuple[ReadDocument, ...]
    n_tokens: int
    mean_gain_bits: float

    def sentence(self) -> str:
        """Say it in words."""
        if not (self.gained or self.lost):
            return f"None of {self.n_tokens:,} tokens became likelier or less likely."
        way = "likelier" if self.mean_gain_bits >= 0 else "less likely"
        return (
            f"Over {self.n_tokens:,} tokens, on average {abs(self.mean_gain_bits):.3f} bits {way} than under the base."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        lists = ("gained", "lost", "kinds_gained", "kinds_lost", "documents")
        return {
            **{name: [one.as_dict() for one in getattr(self, name)] for name in lists},
            "n_tokens": self.n_tokens,
            "mean_gain_bits": self.mean_gain_bits,
            "sentence": self.sentence(),
        }


def plain_example(tokenizer: Tokenizer, text: str) -> Example:
    """Return a text as an example of which every token but the first counts.

    Raises:
        TokenizerError: it has characters the tokenizer does not know.
    """
    ids = tokenizer.prompt_ids(text)
    counts = np.ones(len(ids), bool)
    counts[:1] = False
    return Example(np.array(ids, np.int64), counts, len(text.encode()), "the text")


def token_changes(
    base: Decoder, tuned: Decoder, tokenizer: Tokenizer, examples: Sequence[Example], most: int = 12
) -> TokenChanges:
    """Return the tokens whose probability changed most, in the parts of the examples that are learned.

    Args:
        most: how many of each list.

    Raises:
        DataError: there is nothing to read.
    """
    ids = [[int(token) for token in example.tokens] for example in examples]
    pairs = list(zip(scores(base, ids), scores(tuned, ids), strict=True))
    found: list[TokenChange] = []
    kinds: dict[int, list[float]] = defaultdict(list)
    documents = []
    for number, (example, tokens, (first, second)) in enumerate(zip(examples, ids, pairs, strict=True)):
        name = example.name or f"text {number + 1}"
        n = min(len(first.nats_T), len(second.nats_T))
        bits_2T = np.full((2, len(tokens)), np.nan)
        bits_2T[:, 1 : n + 1] = np.array([first.nats_T[:n], second.nats_T[:n]]) / math.log(2)
        bits_2T[:, ~np.asarray(example.is_learned, bool)] = np.nan
        gains = bits_2T[0] - bits_2T[1]
        for place in np.flatnonzero(~np.isnan(gains)):
            kinds[tokens[place]].append(float(gains[place]))
            if gains[place]:
                found.append(_in_context(name, int(place), tokens, tokenizer, first.nats_T, second.nats_T))
        documents.append(ReadDocument(name, token_texts(tokenizer, tokens), *bits_2T))
    every = [gain for gains in kinds.values() for gain in gains]
    if not every:
        raise DataError("there is no token to compare: nothing to read, or a text of one token; give a longer one")
    found.sort(key=lambda one: -one.gain_bits)
    gained, lost = first_of_each(found), first_of_each(found[::-1])
    by_kind = [
        KindChange(tokenizer.token_text(token), len(gains), sum(gains) / len(gains))
        for token, gains in kinds.items()
        if len(gains) >= FEWEST and any(gains)
    ]
    by_kind.sort(key=lambda one: -one.gain_bits)
    return TokenChanges(
        gained=tuple(one for one in gained[:most] if one.gain_bits > 0),
        lost=tuple(one for one in lost[:most] if one.gain_bits < 0),
        kinds_gained=tuple(one for one in by_kind[:most] if one.gain_bits > 0),
        kinds_lost=tuple(one for one in by_kind[::-1][:most] if one.gain_bits < 0),
        documents=tuple(documents),
        n_tokens=len(every),
        mean_gain_bits=sum(every) / len(every),
    )


def first_of_each(found: Sequence[TokenChange]) -> list[TokenChange]:
    """Return the first place of every token."""
    places: dict[str, TokenChange] = {}
    for one in found:
        places.setdefault(one.text, one)
    return list(places.values())


def _in_context(
    name: str,
    place: int,
    tokens: Sequence[int],
    tokenizer: Tokenizer,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> TokenChange:
    return TokenChange(
        document=name,
        place=place,
        text=tokenizer.token_text(tokens[place]),
        before=math.exp(-float(before[place - 1])),
        after=math.exp(-float(after[place - 1])),
        gain_bits=float(before[place - 1] - after[place - 1]) / math.log(2),
        left=tokenizer.decode(tokens[max(0, place - BEFORE) : place]),
        right=tokenizer.decode(tokens[place + 1 : place + 1 + AFTER]),
    )
