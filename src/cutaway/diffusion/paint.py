"""Painting: from noise to pictures, and every picture on the way.

`paint` is the whole of it: prompts (or labels) and settings in, uint8 pictures out. `denoised` is the part that the other
ways to begin share: from a drawing (`redraw.py`), around a part that stays (`inpaint.py`), between two (`between.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.diffusion.choose import best_seeds, check_reader, drafts
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.guidance import Guided, Parts
from cutaway.diffusion.painter import AT_ONCE, Asked, Painter, Told
from cutaway.diffusion.portions import portions
from cutaway.diffusion.quick_products import products_in
from cutaway.diffusion.sampler import Mend, Step, draw, even_times

OnStep = Callable[[int, Step], None]
"""Is told the number of each step, from 1, and the step. Many pictures are painted in portions, one after the other: then
it is told of the first portion's steps, from 1 again of the second's, and so on."""


@dataclass(frozen=True)
class Painted:
    """Pictures and what made them."""

    pictures: UInt8[np.ndarray, "B Y X C"]
    asked: tuple[str | int, ...]
    """Of each picture."""
    seeds: tuple[int, ...]
    """Of each picture's noise: the best draft's, where several were made."""
    unknown: tuple[tuple[str, ...], ...]
    """Words of each prompt that the text encoder never saw."""
    lost: tuple[tuple[str, ...], ...]
    """Words at the end of each prompt for which the text encoder has no place."""
    frames: tuple[UInt8[np.ndarray, "B Y X C"], ...] = ()
    """From noise to picture, the beginning and every step; empty unless asked for."""


def paint(
    painter: Painter,
    asked: Asked,
    config: PaintSamplingConfig,
    seeds: Sequence[int] | None = None,
    on_step: OnStep | None = None,
    keep_frames: bool = False,
    allow_empty: bool = False,
    listen: Callable[[Parts], None] | None = None,
    on_draft: OnStep | None = None,
) -> Painted:
    """Paint what is asked for.

    Args:
        asked: one prompt or label for all `config.n` pictures, or one for each picture.
        seeds: one for each picture; left out: `config.seed`, `config.seed` + 1, ...
        allow_empty: whether an empty prompt may stand for "anything".
        on_step, listen: of each portion of `AT_ONCE` pictures; `listen` is given conditional, unconditional and guided
            prediction of every step.
        on_draft: is told of each step of the drafts, where the best of several is chosen (`choose.py`).

    Raises:
        UsageError: nothing of what is asked for is known, the numbers of prompts and seeds differ, or the best of several
            is asked of a painter that cannot choose.
    """
    asked, seeds = one_each(asked, config, seeds)
    told = painter.told(asked, config.negative, allow_empty)
    if config.best_of > 1:
        seeds = chosen_seeds(painter, asked, config, seeds, on_draft, allow_empty)
    pictures, ways = [], []
    for rows in portions(len(seeds), AT_ONCE):
        noise_BCYX = painter.noise(seeds[rows])
        frames = Frames(painter, noise_BCYX) if keep_frames else None
        x_BCYX = denoised(painter, told.rows(rows), noise_BCYX, config, on_step=both(on_step, frames), listen=listen)
        pictures.append(painter.to_pictures(x_BCYX))
        ways.append(frames.kept if frames else [])
    kept = tuple(np.concatenate(same_step) for same_step in zip(*ways, strict=True))
    return Painted(np.concatenate(pictures), tuple(asked), tuple(seeds), told.unknown, told.lost, kept)


def chosen_seeds(
    painter: Painter,
    asked: Asked,
    config: PaintSamplingConfig,
    seeds: Sequence[int],
    on_draft: OnStep | None = None,
    allow_empty: bool = False,
) -> list[int]:
    """Return the seed of the best of each picture's `config.best_of` drafts.

    Args:
        asked, seeds: one for each picture.

    Raises:
        UsageError: the painter cannot choose, or nothing of what is asked for is known.
    """
    check_reader(painter)
    drawn = paint(painter, *drafts(asked, config, seeds), on_step=on_draft, allow_empty=allow_empty)
    return best_seeds(painter, drawn.pictures, drawn.asked, drawn.seeds, config.best_of)


def one_each(
    asked: Asked, config: PaintSamplingConfig, seeds: Sequence[int] | None
) -> tuple[list[str] | list[int], list[int]]:
    """Return what is asked of each picture, and each one's seed.

    Raises:
        UsageError: nothing was asked for, or the numbers of prompts and seeds differ.
    """
    if isinstance(asked, str):
        raise UsageError(f"a list of prompts is expected, not the text {asked!r}")
    if not asked:
        raise UsageError("nothing was asked for; give a prompt or a label")
    count = len(seeds) if seeds is not None else len(asked) if len(asked) > 1 else config.n
    every = list(asked) * count if len(asked) == 1 else list(asked)
    if len(every) != count:
        raise UsageError(f"{len(every)} prompts and {count} seeds were given; expected as many")
    return every, list(seeds) if seeds is not None else [config.seed + i for i in range(count)]  # type: ignore[return-value]


@torch.no_grad()
def denoised(
    painter: Painter,
    told: Told,
    x: Float[Tensor, "B C Y X"],
    config: PaintSamplingConfig,
    start: float = 0.0,
    mend: Mend | None = None,
    on_step: OnStep | None = None,
    listen: Callable[[Parts], None] | None = None,
) -> Float[Tensor, "B C Y X"]:
    """Return what becomes of `x` from time `start` to 1.

    Args:
        start: the share of the way that `x` has come; so much fewer steps are made.
        mend: what is done to x after every step.
    """
    painter.denoiser.eval()
    interval = (config.guidance_from, config.guidance_to)
    guided = Guided(painter.denoiser, told.condition, told.nothing, config.guidance, interval, listen)
    precision = products_in(config.precision, painter.device)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        with precision:
            return guided(x, t)

    times = even_times(painter.path, max(1, round(config.steps * (1 - start))), start)
    for number, step in enumerate(draw(predict, x, painter.path, config.sampler, times, mend), 1):
        x = step.x
        if on_step:
            on_step(number, step)
    return x


class Frames:
    """Keeps every step as pictures, the noise it begins with first."""

    def __init__(self, painter: Painter, noise_BCYX: Float[Tensor, "B C Y X"]) -> None:
        self.painter = painter
        self.kept: list[UInt8[np.ndarray, "B Y X C"]] = [painter.to_pictures(noise_BCYX)]

    def __call__(self, number: int, step: Step) -> None:
        """Keep a step."""
        self.kept.append(self.painter.to_pictures(step.x))


def both(first: OnStep | None, second: OnStep | None) -> OnStep | None:
    """Return what tells both of them."""
    told = [one for one in (first, second) if one]

    def on_step(number: int, step: Step) -> None:
        for one in told:
            one(number, step)

    return on_step if told else None
