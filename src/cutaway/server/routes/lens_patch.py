"""What carries the difference between two texts: activations of the one in the reading of the other."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.routes.lens_common import (
    LONGEST_PROMPT,
    Asked,
    TokenChance,
)

router = APIRouter(prefix="/lens")


class PatchAsked(Asked):
    """Two texts, and what is carried over from the first to the second."""

    second: str = Field(max_length=LONGEST_PROMPT)
    what: Literal["resid_pre", "attn_out", "mlp_out", "z"] = "resid_pre"
    answer: str = ""
    other: str = ""


class Patched(BaseModel):
    """The effect of every place; with it come `effect` (0 as the second text, 1 as the first) and `value`, the difference
    of logits itself (both: row, column)."""

    cut: int
    second_cut: int
    rows: list[str]
    columns: list[str]
    """The second text's tokens, or the heads."""
    others: list[str | None]
    """The first text's tokens at the same places, where there is one."""
    note: str
    """How the two texts were laid side by side, in a sentence."""
    answer: TokenChance
    other: TokenChance
    first_candidates: list[TokenChance]
    second_candidates: list[TokenChance]
    first_value: float
    second_value: float


@router.post("/patch", **with_arrays(Patched))
def patch(lab: TheLab, asked: PatchAsked) -> ArraysResponse:
    """Return what every place of the first text does to the reading of the second."""
    raise NotImplementedError
