"""Inside one picture's way from noise: what guidance does at each step, and where each word is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cutaway.base.errors import UsageError
from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import Lab, TheLab
from cutaway.server.painters import OpenPainter
from cutaway.server.routes.chat import person
from cutaway.server.routes.paint_asked import MOST_PICTURES, GoneError, PaintAsked, between_steps
from cutaway.server.streams import Writer

if TYPE_CHECKING:
    from torch import Tensor

    from cutaway.diffusion.sampler import Step
    from cutaway.diffusion.word_maps import WordMaps

router = APIRouter()


class OnePicture(PaintAsked):
    """One of the pictures that are asked for."""

    index: int = Field(default=0, ge=0, lt=MOST_PICTURES)
    """Which: it begins with the noise of seed + index."""


class GuidanceSteps(BaseModel):
    """What a painter expects at each step.

    Arrays: `now`, `unconditional`, `conditional`, `guided` (uint8: steps, rows, columns, colours), `difference` (float32:
    conditional - unconditional, where -1 is black and 1 is white).
    """

    times: list[float]
    """Of each step."""
    scale: float
    """The guidance."""
    difference_rms: list[float]
    """How far conditional and unconditional are apart at each step: root of the mean square."""


class WordMapsAsked(OnePicture):
    """Where the words of a picture are read."""

    step: int | None = None
    """null: the mean over steps."""
    layer: int | None = None
    """null: the mean over layers."""
    head: int | None = None
    """null: the mean over heads."""


class WordMapsShown(BaseModel):
    """Where words are read. Array `maps` (float32): words, rows, columns; over the words of a place they add up to 1."""

    tokens: list[str]
    """The word at each place; the first and the last are marks of begin and end."""
    n_steps: int
    n_layers: int
    n_heads: int


@router.post("/guidance", **with_arrays(GuidanceSteps))
async def guidance(lab: TheLab, request: Request, asked: OnePicture) -> ArraysResponse | None:
    """Return the unconditional, conditional and guided prediction of every step of a picture."""

    def work(writer: Writer) -> ArraysResponse | None:
        opened = lab.painters.open(asked.model)
        with opened.lock:
            try:
                return guided_steps(opened, asked, writer)
            except GoneError:
                return None

    return await lab.streams.start(work, person(request)).all(request)


def guided_steps(opened: OpenPainter, asked: OnePicture, writer: Writer) -> ArraysResponse:
    """Paint a picture, and ask at each of its steps."""
    import torch

    from cutaway.diffusion.paint import denoised
    from cutaway.diffusion.predictions import expected_pictures

    painter, config = opened.painter, asked.settings.config(1)
    if painter.text is None and not painter.names:
        raise UsageError("this painter is told nothing, so there is nothing to guide it by; choose another model")
    told = painter.told([asked.prompt], config.negative)
    noise_BCYX = painter.noise([config.seed + asked.index])
    way: list[Tensor] = [noise_BCYX]
    times: list[float] = [painter.path.first]
    give_way = between_steps(writer, opened)

    def on_step(number: int, step: Step) -> None:
        way.append(step.x)
        times.append(step.t)
        give_way()

    denoised(painter, told, noise_BCYX, config, on_step=on_step)
    x_SCYX, times = torch.cat(way[:-1]), times[:-1]  # at t = 1 there is nothing left to expect
    expected = expected_pictures(painter, told, x_SCYX, times, config.guidance)
    difference = expected.conditional_SCYX - expected.unconditional_SCYX
    pixels = {
        "now": painter.to_pictures(x_SCYX),
        "unconditional": painter.to_pictures(expected.unconditional_SCYX),
        "conditional": painter.to_pictures(expected.conditional_SCYX),
        "guided": painter.to_pictures(expected.guided_SCYX),
    }
    if painter.vae is None:
        shown = difference.permute(0, 2, 3, 1).contiguous().numpy()
    else:
        shown = (pixels["conditional"].astype(np.float32) - pixels["unconditional"]) / np.float32(127.5)
    rms = difference.square().flatten(1).mean(1).sqrt().tolist()
    return ArraysResponse(
        GuidanceSteps(times=times, scale=config.guidance, difference_rms=rms), {**pixels, "difference": shown}
    )


@router.post("/word-maps", **with_arrays(WordMapsShown))
async def word_maps(lab: TheLab, request: Request, asked: WordMapsAsked) -> ArraysResponse | None:
    """Return where the words of a picture are read: at a step, in a layer, by a head, or means of them."""

    def work(writer: Writer) -> WordMaps | None:
        try:
            return kept_maps(lab, asked, writer)
        except GoneError:
            return None

    maps = await lab.streams.start(work, person(request)).all(request)
    return None if maps is None else shown_maps(maps, asked)


def kept_maps(lab: Lab, asked: WordMapsAsked, writer: Writer) -> WordMaps:
    """Return the maps of a picture, painting it where nobody asked before."""
    from cutaway.diffusion.word_maps import paint_with_word_maps

    opened = lab.painters.open(asked.model)
    settings = asked.settings.model_copy(update={"seed": asked.settings.seed + asked.index, "n": 1})
    key: tuple[Any, ...] = ("word maps", opened.name, opened.identity, asked.prompt, settings.model_dump_json())

    def compute() -> WordMaps:
        with opened.lock:
            return paint_with_word_maps(opened.painter, asked.prompt, settings.config(), between_steps(writer, opened))[
                1
            ]

    return lab.kept.once(key, compute, lambda found: sum(layer.nbytes for layer in found.layers))


def shown_maps(maps: WordMaps, asked: WordMapsAsked) -> ArraysResponse:
    """Return the part of the maps that is asked for.

    Raises:
        UsageError: there is no such step, layer or head.
    """
    import torch
    import torch.nn.functional as F

    n_layers, (n_calls, n_heads) = len(maps.layers), maps.layers[0].shape[:2]
    n_steps = asked.settings.steps
    for name, value, count in (
        ("step", asked.step, n_steps),
        ("layer", asked.layer, n_layers),
        ("head", asked.head, n_heads),
    ):
        if value is not None and not 0 <= value < count:
            raise UsageError(f"there is no {name} {value}; there are {count}, from 0")
    chosen = maps.layers if asked.layer is None else maps.layers[asked.layer : asked.layer + 1]
    edge = max(layer.shape[-1] for layer in chosen)
    per_call = 2 if n_calls > n_steps else 1  # Heun asks twice a step
    found = []
    for layer_SHTYX in chosen:
        part_SHTYX = layer_SHTYX if asked.head is None else layer_SHTYX[:, asked.head : asked.head + 1]
        if asked.step is not None:
            call = asked.step * per_call
            part_SHTYX = part_SHTYX[call : call + 1]
        found.append(F.interpolate(part_SHTYX.mean(dim=(0, 1))[None], size=(edge, edge))[0])
    shown = torch.stack(found).mean(dim=0)
    meta = WordMapsShown(tokens=list(maps.tokens), n_steps=n_steps, n_layers=n_layers, n_heads=n_heads)
    return ArraysResponse(meta, {"maps": shown.numpy()})
