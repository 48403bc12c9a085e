"""A picture as a row of patches, each of which becomes one token, and where each patch lies.

    patches[p] = the numbers of one square of the picture, channel by channel, row by row
    position[p] = [sin(x w_i), cos(x w_i), sin(y w_i), cos(y w_i)]    w_i = 10000^(-i / (D/4)), x and y of the patch

Patches: Dosovitskiy et al. 2020, arXiv:2010.11929; fixed sine positions in two directions as Peebles and Xie 2023 have
them (arXiv:2212.09748). Patches are numbered along rows, as one reads. Look at the positions of two neighbours: alike.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def to_patches(x_BCYX: Float[Tensor, "B C Y X"], edge: int) -> Float[Tensor, "B P N"]:
    """Cut pictures into squares of this edge; N = C * edge * edge numbers each."""
    B, C, Y, X = x_BCYX.shape
    parts = x_BCYX.view(B, C, Y // edge, edge, X // edge, edge)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(B, (Y // edge) * (X // edge), C * edge * edge)


def from_patches(patches_BPN: Float[Tensor, "B P N"], edge: int, channels: int) -> Float[Tensor, "B C Y X"]:
    """Put the squares of square pictures back in their places."""
    B, P, _ = patches_BPN.shape
    side = round(P**0.5)
    parts = patches_BPN.view(B, side, side, channels, edge, edge)
    return parts.permute(0, 3, 1, 4, 2, 5).reshape(B, channels, side * edge, side * edge)


def sine_positions(side: int, width: int) -> Float[Tensor, "P D"]:
    """Return a vector for each of side * side patches; half of its `width` tells the column, half the row."""
    frequencies = 10000 ** (-torch.arange(width // 4, dtype=torch.float64, device="cpu") / (width / 4))
    angles = torch.outer(torch.arange(side, dtype=torch.float64, device="cpu"), frequencies)
    along_SD = torch.cat([angles.sin(), angles.cos()], dim=1)
    columns = along_SD.repeat(side, 1)
    rows = along_SD.repeat_interleave(side, dim=0)
    return torch.cat([columns, rows], dim=1).float()
