"""Pictures as they are painted: from noise, around a part that stays, or from a drawing; every step is told."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, Request, Response
from numpy import ndarray
from pydantic import BaseModel, Field

from cutaway.base.errors import UsageError
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.server.lab import TheLab
from cutaway.server.painters import OpenPainter
from cutaway.server.routes.chat import person
from cutaway.server.routes.paint_asked import (
    LARGEST_PICTURE,
    MOST_DRAFTS,
    GoneError,
    PaintAsked,
    between_steps,
    packed,
    unpacked,
)
from cutaway.server.streams import Writer, event

if TYPE_CHECKING:
    from cutaway.diffusion.paint import Painted
    from cutaway.diffusion.sampler import Step

router = APIRouter()


class PicturesAsked(PaintAsked):
    """Pictures that are to be painted."""

    picture: str | None = Field(default=None, max_length=4 * LARGEST_PICTURE)
    """What is painted on, uint8 in base64: rows, columns, colours; null: noise."""
    keep: str | None = Field(default=None, max_length=LARGEST_PICTURE)
    """Where that picture stays as it is: a byte a pixel, 0 where it is painted; null: it is a drawing to start from."""
    level: float = Field(default=0.5, ge=0, le=1)
    """Of a drawing to start from: the share of the way back to noise."""
    best_of: int = Field(default=1, ge=1, le=MOST_DRAFTS)
    """Of pictures from noise: drafts of each, of which the reader chooses one."""


class PaintWaits(BaseModel):
    """Told while others are before."""

    event: Literal["waits"] = "waits"
    ahead: int


class PaintDrafts(BaseModel):
    """Told after every step of the drafts."""

    event: Literal["drafts"] = "drafts"
    step: int


class PaintStart(BaseModel):
    """Told when it begins."""

    event: Literal["start"] = "start"
    size: int
    channels: int
    seeds: list[int]
    unknown: list[str]
    """Words of the prompt that the model never saw."""


class PaintFrame(BaseModel):
    """All pictures after a step."""

    event: Literal["frame"] = "frame"
    step: int
    """0 is what it begins with."""
    t: float
    """0 noise, 1 picture."""
    pictures: str
    """As they are then: uint8 in base64, pictures, rows, columns, colours."""
    expected: str | None = None
    """What the model, asked at the step before, expected them to become."""


class PaintEnd(BaseModel):
    """Told last."""

    event: Literal["end"] = "end"
    seconds: float


class PaintTrouble(BaseModel):
    """Told last where it could not go on."""

    event: Literal["trouble"] = "trouble"
    error: str
    field: str = ""


PaintEvent = PaintWaits | PaintDrafts | PaintStart | PaintFrame | PaintEnd | PaintTrouble


class PaintEvents(BaseModel):
    """What is told of pictures, one after the other (for the schema)."""

    events: list[PaintEvent]


@router.post("/pictures", response_model=None, responses={200: {"model": PaintEvents}})
async def pictures(lab: TheLab, request: Request, asked: PicturesAsked) -> Response:
    """Paint, telling every step (events, each a PaintEvent); it ends when nobody listens."""
    config = asked.settings.config()

    def work(writer: Writer) -> None:
        opened = lab.painters.open(asked.model)
        began = time.perf_counter()
        with opened.lock:
            try:
                Teller(opened, writer, asked, config).paint()
            except GoneError:
                return
        writer.put(PaintEnd(seconds=time.perf_counter() - began))

    def trouble(error: Exception) -> bytes:
        said = PaintTrouble(error=" ".join(str(error).split()), field=getattr(error, "field", ""))
        return event(said.model_dump_json())

    def place(ahead: int) -> bytes:
        return event(PaintWaits(ahead=ahead).model_dump_json())

    return await lab.streams.answer(request, work, told, trouble, who=person(request), encode_place=place)


def told(batch: Sequence[PaintEvent]) -> bytes:
    """Return what happened as events."""
    return b"".join(event(one.model_dump_json()) for one in batch)


class Teller:
    """Paints, and tells every step."""

    def __init__(self, opened: OpenPainter, writer: Writer, asked: PicturesAsked, config: PaintSamplingConfig) -> None:
        self.painter, self.writer, self.asked, self.config = opened.painter, writer, asked, config
        self.give_way = between_steps(writer, opened)
        self.prompts = [asked.prompt]
        self.seeds = [config.seed + i for i in range(config.n)]
        self.last = 0

    def paint(self) -> None:
        """Paint what was asked for.

        Raises:
            GoneError: nobody listens any more.
            UsageError, ShapeError: what was asked for cannot be painted.
        """
        painter = self.painter
        unknown = painter.told(self.prompts, self.config.negative).unknown[0]
        if self.asked.best_of > 1:
            self.seeds = self._chosen()
        make, beginning = self._way()
        self.writer.put(
            PaintStart(size=painter.size, channels=painter.channels, seeds=self.seeds, unknown=list(unknown))
        )
        self.writer.put(PaintFrame(step=0, t=beginning[0], pictures=packed(beginning[1])))
        painted = make()
        # what was kept of a picture is exactly what was given only here
        self.writer.put(PaintFrame(step=self.last, t=1.0, pictures=packed(painted.pictures)))

    def on_step(self, number: int, step: Step) -> None:
        """Tell a step."""
        self.last = number
        shown = [packed(self.painter.to_pictures(part)) for part in (step.x, step.picture)]
        self.writer.put(PaintFrame(step=number, t=step.t, pictures=shown[0], expected=shown[1]))
        self.give_way()

    def _chosen(self) -> list[int]:
        """Return the seeds of the best drafts, telling every step of them."""
        from cutaway.diffusion.paint import chosen_seeds

        if self.asked.picture is not None or self.asked.keep is not None:
            raise UsageError("the best of several is chosen among pictures from noise; one was given to paint on")

        def on_draft(number: int, step: Step) -> None:
            self.writer.put(PaintDrafts(step=number))
            self.give_way()

        config = dataclasses.replace(self.config, best_of=self.asked.best_of)
        return chosen_seeds(self.painter, self.prompts * config.n, config, self.seeds, on_draft)

    def _way(self) -> tuple[Callable[[], Painted], tuple[float, ndarray]]:
        """Return what paints, and what it begins with: its time and the pictures of it."""
        import torch

        from cutaway.diffusion.inpaint import inpaint
        from cutaway.diffusion.paint import paint
        from cutaway.diffusion.redraw import redraw

        painter, asked, config = self.painter, self.asked, self.config
        noise = painter.noise(self.seeds)
        if asked.picture is None:
            if asked.keep is not None:
                raise UsageError("a part to keep was given without its picture")
            make = partial(paint, painter, self.prompts, config, self.seeds, on_step=self.on_step)
            return make, (0.0, painter.to_pictures(noise))
        shape = (painter.size, painter.size, painter.channels)
        picture_YXC = unpacked(asked.picture, shape, "picture")
        if asked.keep is not None:
            keep_YX = unpacked(asked.keep, shape[:2], "keep") != 0
            make = partial(inpaint, painter, picture_YXC, keep_YX, self.prompts, config, on_step=self.on_step)
            return make, (0.0, painter.to_pictures(noise))
        make = partial(redraw, painter, picture_YXC, asked.level, self.prompts, config, on_step=self.on_step)
        start = max(1 - asked.level, painter.path.first)
        drawn_BCYX = painter.from_pictures(picture_YXC[None])
        return make, (start, painter.to_pictures(painter.path.noised(drawn_BCYX, noise, torch.tensor(start))))
