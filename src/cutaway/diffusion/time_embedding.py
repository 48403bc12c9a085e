"""The time, as a vector that a network can read.

    waves[i] = cos(1000 t w_i), waves[128 + i] = sin(1000 t w_i)      w_i = 10000^(-i / 127)
    vector   = W2 silu(W1 waves + b1) + b2

Sine waves of many lengths, as positions have in Vaswani et al. 2017, for the time of a denoising step (Ho et al. 2020,
arXiv:2006.11239); the thousand makes of t in [0, 1] the step numbers that published models were trained with.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

WAVES = 256
"""Waves, half of them cosines."""


def time_waves(t_B: Float[Tensor, " B"]) -> Float[Tensor, "B _"]:
    """Return the waves at times from 0 to 1, in float32."""
    half = WAVES // 2
    steps = torch.arange(half, dtype=torch.float32, device=t_B.device)
    angles = 1000 * t_B.float()[:, None] * torch.exp(-math.log(10000) * steps / (half - 1))
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TimeEmbedding(nn.Module):
    """Waves and two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(WAVES, width)
        self.down_proj = nn.Linear(width, width)

    def forward(self, t_B: Float[Tensor, " B"]) -> Float[Tensor, "B C"]:
        """Return a vector a time."""
        return self.down_proj(F.silu(self.up_proj(time_waves(t_B).to(self.up_proj.weight.dtype))))
