"""Surprise: how many bits each token of a text takes to tell a model, and two models on the same text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from cutaway.base.errors import UsageError
from cutaway.server.arrays import ArraysResponse, answered, with_arrays
from cutaway.server.lab import Lab, TheLab

if TYPE_CHECKING:
    from cutaway.lens.surprisal import Surprisal

router = APIRouter()
MOST_CHARACTERS = 100_000
MOST_SHOWN = 8
NOTHING_BEFORE = "nothing stands before it"


class TextToTell(BaseModel):
    """A text and who is told it."""

    model_config = ConfigDict(extra="forbid")
    model: str
    text: str = Field(max_length=MOST_CHARACTERS)


class TextToCompare(TextToTell):
    """A text and two who are told it."""

    other: str


class TokenToTell(TextToTell):
    """One token of it."""

    at: int


class SurpriseMeta(BaseModel):
    """A text under a model.

    The arrays, by token: `bits` and `entropy` in bits, NaN where not computed; `rank`, 1 for what the model found
    likeliest, -1 where not computed; `seen`, how many tokens it had before it.
    """

    model: str
    tokens: list[str]
    ids: list[int]
    bits: float
    """Of all tokens that were computed."""
    bits_per_token: float | None
    bits_per_byte: float | None
    """Of the characters all of whose tokens were computed, in UTF-8; null: none was."""
    counted: int
    """Tokens that were computed."""
    n_bytes: int
    why: str
    """Why some were not."""
    context_length: int
    stride: int
    """Tokens between the beginnings of two windows; it matters for texts longer than the context."""


class DifferenceMeta(BaseModel):
    """A text under two models, on the shortest pieces that both cut out whole.

    The arrays, by piece: `first` and `second`, bits, NaN where not computed.
    """

    model: str
    other: str
    pieces: list[str]
    is_aligned: bool
    """Whether they cut the text differently."""
    counted: int
    """Pieces both have numbers for."""
    first_bits: float
    second_bits: float
    """Over those."""
    first_bits_per_byte: float | None
    second_bits_per_byte: float | None
    why: str


class Expected(BaseModel):
    """A token the model could have gone on with."""

    id: int
    text: str
    probability: float


class TokenTold(BaseModel):
    """What a model expected in a token's place."""

    at: int
    expected: list[Expected]
    """The likeliest first; none where nothing stands before it."""


def surprise_of(lab: Lab, model: str, text: str) -> Surprisal:
    """Return how surprised a model is by a text, kept for the next question."""
    from cutaway.lens.surprisal import surprisal

    opened = lab.models.open(model)

    def compute() -> Surprisal:
        with opened.lock:
            return surprisal(opened.model, opened.tokenizer, text)

    key = ("surprise", opened.name, opened.identity, text)
    return lab.kept.once(key, compute, lambda one: 5 * one.nats_T.nbytes + 100 * len(one.pieces))


@router.post("/lens/surprise", **with_arrays(SurpriseMeta))
def surprise(lab: TheLab, asked: TextToTell) -> ArraysResponse:
    """Return how many bits each token of a text takes."""
    from cutaway.lens.surprisal_figure import surprise_data

    found = surprise_of(lab, asked.model, asked.text)
    return answered(
        SurpriseMeta,
        surprise_data(found),
        model=asked.model,
        bits=found.total_nats / math.log(2),
        why=NOTHING_BEFORE,
        context_length=lab.models.facts(asked.model).context_length,
    )


@router.post("/lens/surprise/difference", **with_arrays(DifferenceMeta))
def difference(lab: TheLab, asked: TextToCompare) -> ArraysResponse:
    """Return how many bits each piece of a text takes for two models."""
    from cutaway.lens.surprisal import compare

    found = compare(surprise_of(lab, asked.model, asked.text), surprise_of(lab, asked.other, asked.text))
    first_N, second_N = found.first_nats_N / math.log(2), found.second_nats_N / math.log(2)
    both_N = ~found.difference_N.isnan()
    per_byte = found.bits_per_byte or (None, None)
    meta = DifferenceMeta(
        model=asked.model,
        other=asked.other,
        pieces=list(found.pieces),
        is_aligned=found.first.ends != found.second.ends,
        counted=int(both_N.sum()),
        first_bits=float(first_N[both_N].sum()),
        second_bits=float(second_N[both_N].sum()),
        first_bits_per_byte=per_byte[0],
        second_bits_per_byte=per_byte[1],
        why="nothing stands before it, for one of the two",
    )
    return ArraysResponse(meta, {"first": first_N.numpy(), "second": second_N.numpy()})


@router.post("/lens/surprise/token")
def token(lab: TheLab, asked: TokenToTell) -> TokenTold:
    """Return what the model expected in a token's place, with as much before it as it had there."""
    import torch

    found = surprise_of(lab, asked.model, asked.text)
    if not 0 <= asked.at < len(found.ids):
        raise UsageError(f"there is no token {asked.at}; the text has {len(found.ids)}, counted from 0")
    opened = lab.models.open(asked.model)
    seen = int(found.seen_T[asked.at])
    if not seen:
        return TokenTold(at=asked.at, expected=[])
    all_ids = opened.tokenizer.prompt_ids(asked.text)
    end = len(all_ids) - len(found.ids) + asked.at
    with opened.lock, torch.no_grad():
        tokens = torch.tensor([all_ids[end - seen : end]], device=opened.model.device)
        p_V = opened.model(tokens)[0, -1].double().softmax(-1)
    best = p_V.topk(min(MOST_SHOWN, len(p_V)))
    expected = [
        Expected(id=index, text=opened.tokenizer.token_text(index), probability=p)
        for p, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    return TokenTold(at=asked.at, expected=expected)
