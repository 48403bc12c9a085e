"""Between two pictures: from one prompt to another, from one noise to another, from one latent to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.painters import OpenPainter
from cutaway.server.routes.chat import person
from cutaway.server.routes.paint_asked import LONGEST_PROMPT, MOST_PICTURES, GoneError, PaintAsked, between_steps
from cutaway.server.streams import Writer

if TYPE_CHECKING:
    from numpy import ndarray

    from cutaway.diffusion.config import PaintSamplingConfig

router = APIRouter()

MOST_BETWEEN = 17


class BetweenAsked(PaintAsked):
    """A way from one picture to another."""

    through: Literal["prompts", "noise", "latents"]
    """What is blended: the words, the noise it begins with, or the latents of two finished pictures."""
    index: int = Field(default=0, ge=0, lt=MOST_PICTURES)
    """The picture it begins with: seed + index."""
    other_prompt: str = Field(default="", max_length=LONGEST_PROMPT)
    """Where it leads, of prompts and latents; empty: the same prompt."""
    other_seed: int = Field(default=1, ge=0, le=2**53)
    """Where it leads, of noise and latents."""
    count: int = Field(default=9, ge=2, le=MOST_BETWEEN)


class Between(BaseModel):
    """Pictures on the way. Array `pictures` (uint8): pictures, rows, columns, colours."""

    shares: list[float]
    """How far each is: 0 the first, 1 the last."""
    unknown: list[str]
    """Words that the model never saw."""


@router.post("/between", **with_arrays(Between))
async def between(lab: TheLab, request: Request, asked: BetweenAsked) -> ArraysResponse | None:
    """Paint the pictures between two; it ends when nobody waits."""

    def work(writer: Writer) -> ArraysResponse | None:
        opened = lab.painters.open(asked.model)
        with opened.lock:
            try:
                return pictures_between(opened, asked, between_steps(writer, opened))
            except GoneError:
                return None

    return await lab.streams.start(work, person(request)).all(request)


def pictures_between(opened: OpenPainter, asked: BetweenAsked, on_step: Callable[..., None]) -> ArraysResponse:
    """Return the pictures on the way."""
    from cutaway.diffusion.between import between_noises, between_prompts

    painter, first = opened.painter, asked.settings.seed + asked.index
    settings = asked.settings.model_copy(update={"seed": first})
    config, shares = settings.config(asked.count), [i / (asked.count - 1) for i in range(asked.count)]
    other = asked.other_prompt or asked.prompt
    unknown = {word: None for words in painter.told([asked.prompt, other], config.negative).unknown for word in words}
    if asked.through == "prompts":
        found = between_prompts(painter, asked.prompt, other, shares, config, on_step).pictures
    elif asked.through == "noise":
        found = between_noises(painter, asked.prompt, first, asked.other_seed, shares, config, on_step).pictures
    else:
        ends = [asked.prompt, other], [first, asked.other_seed]
        found = _through_latents(opened, *ends, shares, config, on_step)
    return ArraysResponse(Between(shares=shares, unknown=list(unknown)), {"pictures": found})


def _through_latents(
    opened: OpenPainter,
    prompts: list[str],
    seeds: list[int],
    shares: list[float],
    config: PaintSamplingConfig,
    on_step: Callable[..., None],
) -> ndarray:
    from cutaway.diffusion.between import between_latents
    from cutaway.diffusion.paint import paint

    assert opened.vae  # says which model is needed where there is none
    ends = paint(opened.painter, prompts, config, seeds=seeds, on_step=on_step).pictures
    return between_latents(opened.painter, ends[0], ends[1], shares)
