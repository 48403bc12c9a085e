"""What carries the difference between two texts: activations of the one in the reading of the other."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from cutaway.server.arrays import ArraysResponse, answered, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.routes.lens_common import (
    LONGEST_PROMPT,
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


class PatchAsked(Asked):
    """Two texts, and what is carried over from the first to the second."""

    second: str = Field(max_length=LONGEST_PROMPT)
    what: Literal["resid_pre", "attn_out", "mlp_out", "z"] = "resid_pre"
    answer: str = ""
    other: str = ""
    at: int = -1
    """For heads, the position of the second text at which they are carried over; -1: all."""


class Patched(BaseModel):
    """The effect of every place; with it come `effect` (0 as the second text, 1 as the first) and `value`, the difference
    of logits itself (both: row, column)."""

    what: Literal["resid_pre", "attn_out", "mlp_out", "z"]
    cut: int
    second_cut: int
    at: int
    second_tokens: list[str]
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
    from cutaway.lens.patch import patch as patch_prompts
    from cutaway.lens.patch_figure import patch_data

    opened = lab.models.open(asked.model)
    with opened.lock:
        first_V = logits_of(opened, asked.prompt, "prompt")[-1].double()
        second_TV = logits_of(opened, asked.second, "second")
        second_V = second_TV[-1].double()
        where = [checked_position(asked.at, len(second_TV))] if asked.what == "z" and asked.at >= 0 else None
        answer = checked_token(opened, asked.answer, "answer")
        other = checked_token(opened, asked.other, "other")
        first, second = most_probable(opened, first_V), most_probable(opened, second_V)
        if answer is None:
            answer = next(one.id for one in first if one.id != other)
        if other is None:
            other = next(one.id for one in second if one.id != answer)
        with about("other" if answer == other else "second"):
            found = patch_prompts(
                opened.model,
                opened.tokenizer,
                asked.prompt,
                asked.second,
                answer,
                other,
                asked.what,
                at=where,
                on_done=lambda done, of: opened.lock.give_way(),
            )
    return answered(
        Patched,
        patch_data(found),
        at=-1 if where is None else where[0],
        second_tokens=list(found.corrupted.pieces),
        answer=chances(opened, first_V, [answer])[0],
        other=chances(opened, second_V, [other])[0],
        first_candidates=first,
        second_candidates=second,
    )
