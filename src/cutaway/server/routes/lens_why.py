"""Why a token is likely: its logit as a sum over everything that was added to the residual stream."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.server.arrays import ArraysResponse, answered, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.routes.lens_common import (
    Asked,
    TokenChance,
    about,
    chances,
    checked_position,
    checked_token,
    logits_of,
    most_probable,
)

router = APIRouter(prefix="/lens")


class WhyAsked(Asked):
    """Which logit is split."""

    position: int = -1
    token: str = ""
    """As text, or as `#17`; empty: the model's own first guess."""
    rather: str = ""
    """A token it is compared with; empty: none."""


class WhyTerm(BaseModel):
    """One summand of a logit."""

    name: str
    kind: str
    layer: int | None
    value: float
    address: str | None
    """The tensor it was computed from, as the microscope calls it."""


class Neuron(BaseModel):
    """A hidden unit of an MLP, and its share."""

    unit: int
    value: float


class Why(BaseModel):
    """A logit as a sum; with it come `sources` (layer, head, position): each head's share by where it came from."""

    tokens: list[str]
    cut: int
    position: int
    token: TokenChance
    rather: TokenChance | None
    candidates: list[TokenChance]
    """What the model finds most probable there, the first first."""
    logit: float
    """As the model computed it; the difference of two where two are compared."""
    terms: list[WhyTerm]
    reading: str
    """How the last norm was treated, in a sentence."""
    neurons: list[list[Neuron]]
    """Of each MLP the hidden units of the largest shares."""


@router.post("/why", **with_arrays(Why))
def why(lab: TheLab, asked: WhyAsked) -> ArraysResponse:
    """Return a token's logit as a sum over everything that was added to the residual stream."""
    from cutaway.lens.attribution import attribute
    from cutaway.lens.attribution_figure import why_data

    opened = lab.models.open(asked.model)
    with opened.lock:
        logits_TV = logits_of(opened, asked.prompt)
        position = checked_position(asked.position, len(logits_TV))
        token = checked_token(opened, asked.token, "token")
        rather = checked_token(opened, asked.rather, "rather")
        with about("rather"):
            found = attribute(opened.model, opened.tokenizer, asked.prompt, token, rather, position)
    logits_V = logits_TV[position].double()
    answer = found.answer
    return answered(
        Why,
        why_data(found),
        token=chances(opened, logits_V, [answer.token])[0],
        rather=None if answer.other is None else chances(opened, logits_V, [answer.other])[0],
        candidates=most_probable(opened, logits_V),
    )
