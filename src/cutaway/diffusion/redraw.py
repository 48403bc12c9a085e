"""Start from a drawing: noise it as far as time t, then paint from there.

    x_t = alpha(t) drawing + sigma(t) noise,   t = 1 - level

Meng et al. 2021, SDEdit, arXiv:2108.01073. Little noise keeps the drawing and cleans it up; much keeps only where things
are, and the words decide the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8

from cutaway.base.errors import UsageError
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.paint import OnStep, Painted, denoised, one_each
from cutaway.diffusion.painter import Asked, Painter


def redraw(
    painter: Painter,
    drawing_YXC: UInt8[np.ndarray, "Y X C"],
    level: float,
    asked: Asked,
    config: PaintSamplingConfig,
    seeds: Sequence[int] | None = None,
    on_step: OnStep | None = None,
) -> Painted:
    """Paint what is asked for, beginning with a drawing.

    Args:
        level: share of the way back to noise: 0 returns the drawing, 1 forgets it.

    Raises:
        UsageError: a level outside 0 to 1, or as `paint`.
        ShapeError: a drawing of another size than the painter's.
    """
    if not 0 <= level <= 1:
        raise UsageError(f"the noise level is {level}; expected 0 (the drawing itself) to 1 (only noise)")
    asked, seeds = one_each(asked, config, seeds)
    told = painter.told(asked, config.negative)
    drawing_BYXC = np.repeat(drawing_YXC[None], len(seeds), axis=0)
    drawn_BCYX = painter.from_pictures(drawing_BYXC)
    made = Painted(drawing_BYXC, tuple(asked), tuple(seeds), told.unknown, told.lost)
    if level == 0:
        return made
    start = max(1 - level, painter.path.first)
    t_B = torch.full((len(seeds),), start, device=painter.device)
    x_BCYX = painter.path.noised(drawn_BCYX, painter.noise(seeds), t_B)
    x_BCYX = denoised(painter, told, x_BCYX, config, start, on_step=on_step)
    return dataclasses.replace(made, pictures=painter.to_pictures(x_BCYX))
