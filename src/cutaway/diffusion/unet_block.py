"""The parts of a U-Net: a residual block that the time steers, and places that look at each other and at words.

    y  = in_conv(silu(norm(x)))
    x' = skip(x) + out_conv(silu(norm(y) * (1 + scale) + shift))        scale and shift are projections of the time

    x'' = x' + attn(norm(x')) + cross(norm(x'), words)                  on coarse levels: every place reads all places

He et al. 2016, arXiv:1603.05027; SiLU: Ramachandran et al. 2017, arXiv:1710.05941; steered by scale and shift: Dhariwal
and Nichol 2021, arXiv:2105.05233. The norm is over the channels of each place (ConvNeXt, Liu et al. 2022,
arXiv:2201.03545), not over groups of channels and all places: with channels last, where convolutions are fastest on a
CPU, a group norm takes as long as they do. The last convolution, and what attention writes, start at zero: a block begins
as its skip.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.tap import tap
from cutaway.diffusion.attention import SelfAttention
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.cross_attention import CrossAttention
from cutaway.nn.norm import LayerNorm

EPS = 1e-5


class PlaceNorm(LayerNorm):
    """Centre the channels of each place, scale them to unit variance, then apply a learned gain and offset."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, EPS)

    def forward(self, x: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C Y X"]:
        """Return the normalised places."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip, steered by the time."""

    def __init__(self, n_in: int, n_out: int, d_time: int, dropout: float) -> None:
        super().__init__()
        self.in_norm = PlaceNorm(n_in)
        self.in_conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.time_proj = nn.Linear(d_time, 2 * n_out)
        self.out_norm = PlaceNorm(n_out)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.out_conv = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.skip = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Float[Tensor, "B C Y X"], steering: Float[Tensor, "B E"]) -> Float[Tensor, "B C2 Y X"]:
        """Return the changed map."""
        y = self.in_conv(F.silu(self.in_norm(x)))
        scale_BC11, shift_BC11 = self.time_proj(steering)[:, :, None, None].chunk(2, dim=1)
        y = torch.addcmul(shift_BC11, self.out_norm(y), 1 + scale_BC11)
        return self.skip(x) + self.out_conv(self.dropout(F.silu(y)))


class Look(nn.Module):
    """Places look at all places, and at the words if there are any."""

    def __init__(self, channels: int, n_heads: int, d_words: int) -> None:
        super().__init__()
        self.attn = SelfAttention(channels, n_heads)
        self.cross = CrossAttention(channels, d_words, n_heads) if d_words else None

    def forward(self, x: Float[Tensor, "B C Y X"], condition: Condition) -> Float[Tensor, "B C Y X"]:
        """Return the changed map."""
        x_BPC = x.flatten(2).transpose(1, 2)
        x_BPC = x_BPC + self.attn(F.layer_norm(x_BPC, x_BPC.shape[-1:], eps=EPS))
        if self.cross is not None and condition.words_BTD is not None:
            x_BPC = x_BPC + self.cross(x_BPC, self.cross.read(condition.words_BTD, condition.mask_BT))
        return x_BPC.transpose(1, 2).reshape(x.shape)


class UNetBlock(nn.Module):
    """A residual block, and on coarse levels a look around.

    Args:
        n_heads: 0: no look around.
    """

    def __init__(self, n_in: int, n_out: int, d_time: int, n_heads: int, d_words: int, dropout: float) -> None:
        super().__init__()
        self.residual = ResidualBlock(n_in, n_out, d_time, dropout)
        self.look = Look(n_out, n_heads, d_words) if n_heads else None

    def forward(
        self, x: Float[Tensor, "B C Y X"], steering: Float[Tensor, "B E"], condition: Condition
    ) -> Float[Tensor, "B C2 Y X"]:
        """Return the changed map."""
        x = self.residual(x, steering)
        return tap("out_BCYX", x if self.look is None else self.look(x, condition))
