"""A model before and after it was written to a file: the same tokens, logits and greedy text?

    off = root mean square of the logits' differences / standard deviation of the logits
    nats = mean over positions of KL(before || after), what the file costs a reader of the model's guesses

Compared on a text that is on every machine and on tokens drawn at random, so that rare rows of the tables count too.
Greedy text is 32 tokens that go on from the text's beginning; one rounding that tips one of them changes all that follow,
so it must be equal where nothing is rounded and is only counted where something is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cutaway.base.errors import CutawayError, TokenizerError
from cutaway.models.decoder import Decoder, evaluating
from cutaway.text.tokenizer import Tokenizer

LENGTH, FIRST, WRITTEN = 128, 16, 32


class RoundTripError(CutawayError):
    """A file that does not hold the model it was written from."""


@dataclass(frozen=True)
class RoundTrip:
    """How far a model read back is from what was written."""

    off: float
    """Of the logits, as a share of their spread."""
    largest: float
    """Largest difference of a logit."""
    nats: float
    """Mean KL divergence of the guesses, nats a token."""
    same_greedy: int
    """How many greedy tokens agree before the first that does not."""
    n_greedy: int
    n_logits: int
    same_tokens: bool
    """Whether both tokenizers read the text alike."""
    bound: float
    """The largest `off` that is accepted."""

    @property
    def is_exact(self) -> bool:
        """Whether no logit differs."""
        return self.largest == 0

    def sentence(self) -> str:
        """Say it in words."""
        greedy = (
            "greedy text equal"
            if self.same_greedy == self.n_greedy
            else f"greedy text equal for {self.same_greedy} tokens"
        )
        if self.is_exact:
            return f"read back: {self.n_logits:,} logits equal, {greedy}"
        return (
            f"read back: logits off by {self.off:.2%} of their spread ({self.nats:.2g} nats a token; accepted up to "
            f"{self.bound:.2%}), {greedy}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return vars(self) | {"is_exact": self.is_exact}


def compare(
    before: Decoder, after: Decoder, tokenizer: Tokenizer | None, read_back: Tokenizer | None, bound: float = 0.0
) -> RoundTrip:
    """Compare a model with what was read back of it.

    Args:
        bound: the largest `off` to accept; 0: every logit and token equal.

    Raises:
        RoundTripError: it differs more.
    """
    text = neutral_text()
    ids = token_ids(tokenizer, text, before.config.known_vocab_size, min(LENGTH, before.config.context_length))
    same_tokens = tokenizer is None or (read_back is not None and reads_alike(tokenizer, read_back, text))
    with evaluating(before), evaluating(after), torch.no_grad():
        first, second = before(ids).float(), after(ids).float()
    difference = first - second
    spread = float(first.std())
    found = RoundTrip(
        off=float(difference.square().mean().sqrt()) / max(spread, 1e-30),
        largest=float(difference.abs().max()),
        nats=max(0.0, float(divergence(first, second).mean())),
        same_greedy=agreeing(*(greedy(model, ids[0]) for model in (before, after))),
        n_greedy=n_greedy(before.config.context_length),
        n_logits=first.numel(),
        same_tokens=same_tokens,
        bound=bound,
    )
    check(found)
    return found


def check(found: RoundTrip) -> None:
    """Refuse a file that is not the model.

    Raises:
        RoundTripError: it differs more than was accepted.
    """
    if not found.same_tokens:
        raise RoundTripError("read back, the tokenizer cuts a text into other tokens; nothing was written")
    if not found.off <= found.bound:
        raise RoundTripError(
            f"read back, the logits are off by {found.off:.2%} of their spread, more than {found.bound:.2%}; "
            f"nothing was written: take a type with more digits, as f32"
        )
    if found.is_exact and found.same_greedy < found.n_greedy:
        raise RoundTripError("read back, the model writes another greedy text; nothing was written")


def divergence(before: Tensor, after: Tensor) -> Tensor:
    """Return KL(before || after) of the guesses at every position."""
    first, second = before.log_softmax(-1), after.log_softmax(-1)
    return (first.exp() * (first - second)).sum(-1)


def neutral_text() -> str:
    """Return a text that is on every machine: what Python says about its own syntax."""
    from pydoc_data.topics import topics

    return topics["assignment"][:2000]


def token_ids(tokenizer: Tokenizer | None, text: str, vocab_size: int, length: int) -> Tensor:
    """Return two rows of tokens: the text's, as far as the tokenizer can write it, and drawn ones."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(vocab_size, (2, length), generator=generator)
    ids = ids_of(tokenizer, text)[:length] if tokenizer is not None else []
    drawn[0, : len(ids)] = torch.tensor(ids, dtype=drawn.dtype)
    return drawn


def reads_alike(first: Tokenizer, second: Tokenizer, text: str) -> bool:
    """Whether two tokenizers cut a text into the same tokens and end it with the same."""
    return (
        first.vocab_size == second.vocab_size
        and first.eos_id == second.eos_id
        and ids_of(first, text) == ids_of(second, text)
    )


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return a text's tokens; of a tokenizer that lacks some characters, without those."""
    try:
        return tokenizer.encode(text)
    except TokenizerError:
        found: list[int] = []
        for character in text:
            try:
                found += tokenizer.encode(character)
            except TokenizerError:
                continue
        return found


def n_greedy(context_length: int) -> int:
    """Return how many greedy tokens are compared."""
    return min(WRITTEN, max(1, context_length // 2))


def greedy(model: Decoder, ids: Tensor) -> list[int]:
    """Return the likeliest tokens one after the other, never mind where the text should end."""
    room, length = model.config.context_length, n_greedy(model.config.context_length)
    read = ids[None, : max(1, min(FIRST, room - length))]
    cache = model.new_cache(1, read.shape[1] + length)
    found: list[int] = []
    with evaluating(model), torch.no_grad():
        while len(found) < length:
            read = model(read, cache)[:, -1:].argmax(-1)
            found.append(int(read))
    return found


def agreeing(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens agree before the first that does not."""
    pairs = zip(first, second, strict=True)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), len(first))
