"""Inpainting: paint around what stays.

    after every step, at the time t it arrived at:   x <- keep * (alpha(t) picture + sigma(t) noise) + (1 - keep) * x

What is known is put back, as noised as the rest is, so that the model sees it and fits the rest to it (Lugmayr et al. 2022,
arXiv:2201.09865, without their going back and forth). The noise is the one that drawing began with: each known pixel
follows its own line. A painter of latents keeps the places whose pixels are all known; at the end the known pixels
themselves are put back, so they are exactly those given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from cutaway.base.errors import ShapeError
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.paint import OnStep, Painted, denoised, one_each
from cutaway.diffusion.painter import Asked, Painter


def inpaint(
    painter: Painter,
    picture_YXC: UInt8[np.ndarray, "Y X C"],
    keep_YX: Bool[np.ndarray, "Y2 X2"],
    asked: Asked,
    config: PaintSamplingConfig,
    seeds: Sequence[int] | None = None,
    on_step: OnStep | None = None,
) -> Painted:
    """Paint what is asked for where the picture is not kept.

    Args:
        keep_YX: True where the picture stays as it is.

    Raises:
        ShapeError: a picture of another size than the painter's, or a mask of another than the picture's.
        UsageError: as `paint`.
    """
    if keep_YX.shape != picture_YXC.shape[:2]:
        raise ShapeError(f"a mask of shape {keep_YX.shape} was given for a picture of {picture_YXC.shape[:2]}")
    asked, seeds = one_each(asked, config, seeds)
    told = painter.told(asked, config.negative)
    known_BCYX = painter.from_pictures(picture_YXC[None])
    keep_places_YX = kept_places(torch.from_numpy(keep_YX), painter.config.size).to(painter.device)
    noise_BCYX = painter.noise(seeds)

    def put_back(x: Tensor, t: Tensor) -> Tensor:
        return torch.where(keep_places_YX, painter.path.noised(known_BCYX, noise_BCYX, t.to(x)), x)

    x_BCYX = denoised(painter, told, noise_BCYX, config, mend=put_back, on_step=on_step)
    pictures = np.where(keep_YX[..., None], picture_YXC, painter.to_pictures(x_BCYX))
    return Painted(pictures, tuple(asked), tuple(seeds), told.unknown, told.lost)


def kept_places(keep_YX: Bool[Tensor, "Y X"], size: int) -> Bool[Tensor, "Y2 X2"]:
    """Return which places of a map of this edge have only kept pixels."""
    if keep_YX.shape[0] == size:
        return keep_YX
    lost_BCYX: Float[Tensor, "1 1 Y X"] = (~keep_YX).float()[None, None]
    return F.max_pool2d(lost_BCYX, keep_YX.shape[0] // size)[0, 0] == 0
