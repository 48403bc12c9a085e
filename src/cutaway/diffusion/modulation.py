"""adaLN-zero: the time and what is to be shown set the offset, the gain and the share of every part of a block.

    y   = norm(x) * (1 + scale) + shift        before a part; norm without a gain of its own
    x'  = x + gate * part(y)                   after it

shift, scale and gate are projections of one vector (time + label + sentence), alike for all patches of a picture. They
start at zero: every gate is shut and the model begins as the identity (Peebles and Xie 2023, arXiv:2212.09748, 3.2).
Two kinds: each block has a projection of its own, as published; or one projection is shared and each block adds a table
(adaLN-single, Chen et al. 2023, PixArt-alpha, arXiv:2310.00426, 2.3). Look at the gates of a trained model over time.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

EPS = 1e-6


class Modulation(NamedTuple):
    """Offset, gain and share of one part."""

    shift_B1C: Tensor
    scale_B1C: Tensor
    gate_B1C: Tensor


class AllModulations(NamedTuple):
    """Of every block's parts, and of the output."""

    blocks: list[list[Modulation]]
    shift_B1C: Tensor
    scale_B1C: Tensor


def modulated(x: Float[Tensor, "B P C"], shift: Float[Tensor, "B 1 C"], scale: Float[Tensor, "B 1 C"]) -> Tensor:
    """Return norm(x) * (1 + scale) + shift."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=EPS), 1 + scale)


class Modulations(nn.Module):
    """The modulations of all blocks and of the output, from one vector a picture.

    Args:
        n_parts: parts of a block, each with shift, scale and gate.
    """

    def __init__(self, width: int, n_layers: int, n_parts: int, kind: Literal["blocks", "shared"]) -> None:
        super().__init__()
        self.width, self.n_layers, self.n_parts = width, n_layers, n_parts
        n_own = 3 * n_parts * width
        self.projections = nn.ModuleList(nn.Linear(width, n_own) for _ in range(n_layers if kind == "blocks" else 1))
        self.tables = nn.ParameterList(
            nn.Parameter(torch.zeros(n_own)) for _ in range(n_layers if kind == "shared" else 0)
        )
        self.output = nn.Linear(width, 2 * width)

    def forward(self, vector: Float[Tensor, "B C"]) -> AllModulations:
        """Return the modulations."""
        bent_B1C = F.silu(vector)[:, None]
        projected = [projection(bent_B1C) for projection in self.projections]
        if self.tables:
            projected = [projected[0] + table for table in self.tables]
        blocks = []
        for numbers in projected:
            parts = numbers.chunk(3 * self.n_parts, dim=-1)
            blocks.append([Modulation(*parts[3 * i : 3 * i + 3]) for i in range(self.n_parts)])
        shift_B1C, scale_B1C = self.output(bent_B1C).chunk(2, dim=-1)
        return AllModulations(blocks, shift_B1C, scale_B1C)
