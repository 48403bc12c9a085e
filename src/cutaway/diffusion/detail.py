"""More weight where a picture has detail: a tiny hat is six pixels of a thousand, and as many parts of the loss.

    contrast = mean3x3 |x - mean3x3(x)|                       over channels too
    weight   = (1 + k * contrast / mean(contrast)) / (1 + k)  whose mean over a picture is 1

The mean squared error asks of every pixel the same, and most of them are meadow. What is predicted with these weights is no
longer quite the mean of all that the noise may hide: of two pictures, the one with something at a place counts more there.
Losses of held-out pictures are measured without them, so that all runs compare.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

EPS = 1e-4
"""Contrast below which a picture counts as even."""


def detail_weight(x_BCYX: Float[Tensor, "B C Y X"], share: float) -> Float[Tensor, "B 1 Y X"]:
    """Return the weight of each place, 1 on average.

    Args:
        share: k, of what contrast adds; 0: all weigh 1.
    """
    contrast_B1YX = around((x_BCYX - around(x_BCYX)).abs().mean(dim=1, keepdim=True)) + EPS
    return (1 + share * contrast_B1YX / contrast_B1YX.mean(dim=(2, 3), keepdim=True)) / (1 + share)


def around(x_BCYX: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C Y X"]:
    """Return at each place the mean of it and its neighbours inside the picture."""
    return F.avg_pool2d(x_BCYX, 3, stride=1, padding=1, count_include_pad=False)
