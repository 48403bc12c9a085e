"""What all questions to a painter share: settings, pictures as they travel, work that ends when the client leaves."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy import ndarray
from pydantic import BaseModel, ConfigDict, Field

from cutaway.base.errors import ShapeError, UsageError
from cutaway.diffusion.config import PaintSamplingConfig

if TYPE_CHECKING:
    from cutaway.server.painters import OpenPainter
    from cutaway.server.streams import Writer

LONGEST_PROMPT = 2000
MOST_PICTURES = 64
MOST_STEPS = 250
MOST_DRAFTS = 16
LARGEST_PICTURE = 1 << 20
"""Characters: a picture of 512 x 512 in base64."""


class PaintSettings(BaseModel):
    """How pictures are drawn from noise: the fields of `PaintSamplingConfig`."""

    model_config = ConfigDict(extra="forbid")
    steps: int = Field(default=30, ge=1, le=MOST_STEPS)
    sampler: Literal["euler", "heun", "dpm++"] = "heun"
    guidance: float = 4.0
    guidance_from: float = 0.0
    guidance_to: float = 1.0
    negative: str = Field(default="", max_length=LONGEST_PROMPT)
    n: int = Field(default=8, ge=1, le=MOST_PICTURES)
    seed: int = Field(default=0, ge=0, le=2**53)

    def config(self, n: int | None = None) -> PaintSamplingConfig:
        """Return the settings, checked.

        Args:
            n: pictures; left out: as many as the settings say.

        Raises:
            ConfigError: one of them makes no sense.
        """
        return PaintSamplingConfig(**{**self.model_dump(), **({} if n is None else {"n": n})})


class PaintAsked(BaseModel):
    """What is asked of which painter."""

    model_config = ConfigDict(extra="forbid")
    model: str
    prompt: str = Field(default="", max_length=LONGEST_PROMPT)
    """Words, or a label; nothing for a painter that is told nothing."""
    settings: PaintSettings = PaintSettings()


class GoneError(Exception):
    """Nobody waits for the answer any more."""


def between_steps(writer: Writer, opened: OpenPainter) -> Callable[..., None]:
    """Return what is to be called between two steps: it lets others have the painter, and ends work nobody wants."""
    go_on = writer.between(opened.lock)

    def step(*_: object) -> None:
        if not go_on():
            raise GoneError

    return step


def packed(pixels: ndarray) -> str:
    """Return uint8 numbers as they travel in JSON."""
    return base64.b64encode(np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()).decode()


def unpacked(text: str, shape: tuple[int, ...], field: str) -> ndarray:
    """Return uint8 numbers that travelled in JSON, in this shape.

    Raises:
        UsageError: it is no base64.
        ShapeError: there are more or fewer of them.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(f"{field} is not base64") from None
    if len(data) != np.prod(shape):
        raise ShapeError(f"{field} has {len(data):,} bytes; expected {' x '.join(map(str, shape))}")
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)
