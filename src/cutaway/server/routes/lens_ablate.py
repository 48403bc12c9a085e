"""What a text looks like to the model without some of its parts."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.routes.lens_common import Asked, TokenChance

router = APIRouter(prefix="/lens")


class AblateAsked(Asked):
    """What is taken away."""

    position: int = -1
    off: list[str] = Field(default=[], max_length=2000)
    """Parts: `2.0` (block 2, head 0), `mlp 2`, `mlp 2 unit 17`."""
    how: Literal["zero", "mean"] = "zero"


class TokenChange(BaseModel):
    """A token's probability with and without some parts."""

    id: int
    text: str
    before: float
    after: float


class Ablated(BaseModel):
    """What taking parts away does; with it come `before` and `after` (position): each token's surprisal, in nats."""

    tokens: list[str]
    cut: int
    position: int
    off: list[str]
    layers: int
    heads: int
    units: int
    """Of each MLP."""
    candidates: list[TokenChange]
    """The tokens most probable before or after; first those of before, the first first."""
    loss_before: float | None
    """In nats a token; None for a text of one token."""
    loss_after: float | None


class Scanned(BaseModel):
    """Every part taken away by itself; with it come `loss_heads` and `answer_heads` (layer, head), `loss_mlps` and
    `answer_mlps` (layer): by how much the loss grows, and the answer's logit falls, without the part."""

    tokens: list[str]
    cut: int
    position: int
    answer: TokenChance


@router.post("/ablate", **with_arrays(Ablated))
def ablate(lab: TheLab, asked: AblateAsked) -> ArraysResponse:
    """Return what a text looks like to the model without some of its parts."""
    raise NotImplementedError


@router.post("/ablate/scan", **with_arrays(Scanned))
def scan(lab: TheLab, asked: AblateAsked) -> ArraysResponse:
    """Return what every head and MLP is worth to a text, each taken away by itself."""
    raise NotImplementedError
