"""Positions: attention by itself sees a set of tokens; these parts tell it their order.

Learned positions (GPT-2) are one more table, added to the token embedding: see `embedding.py`. Rotary
positions (Su et al. 2021, arXiv:2104.09864) turn pairs of channels of queries and keys by an angle that grows
with the position, so that a query and a key meet at an angle that depends only on how far apart they stand:

    angle(t, i) = t / base^(2i/D)                              i = 0 .. D/2-1, the number of the pair
    rotated(x)  = x * cos(angle) + swapped(x) * (-sin | +sin)(angle)

The pair of channel i is channel i + D/2, as in Llama's published checkpoints (the paper pairs neighbours: the
same but for the order of the channels). Llama 3.1 stretches long wavelengths, to read further than it was
trained to. No positions at all work too: the causal mask already tells an order.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

Lengths = tuple[int, ...]
"""Of texts that lie end to end in a row."""


@runtime_checkable
class Stretch(Protocol):
    """Llama 3.1's settings; see `cutaway.models.config.RotaryScaling`."""

    @property
    def factor(self) -> float: ...
    @property
    def low_freq_factor(self) -> float: ...
    @property
    def high_freq_factor(self) -> float: ...
    @property
    def original_context_length(self) -> int: ...


def rotary_frequencies(d_head: int, base: float) -> Float[Tensor, " N"]:
    """Return by how many radians each pair turns from one position to the next."""
    exponents = torch.arange(0, d_head, 2, dtype=torch.float32, device="cpu") / d_head
    return 1.0 / (base**exponents)


def stretch(frequencies: Float[Tensor, " N"], settings: Stretch) -> Float[Tensor, " N"]:
    """Slow down the pairs that turn few times within the old context (Llama 3.1, arXiv:2407.21783).

    Pairs with fewer turns than `low_freq_factor` are slowed by `factor`, with more than `high_freq_factor`
    left alone, and blended between the two.
    """
    turns = settings.original_context_length / (2 * math.pi / frequencies)
    share = (turns - settings.low_freq_factor) / (settings.high_freq_factor - settings.low_freq_factor)
    share = share.clamp(0, 1)
    return (1 - share) * frequencies / settings.factor + share * frequencies


class Rotary(nn.Module):
    """Turn queries and keys by their positions. One table serves all blocks."""

    cos_ND: Tensor
    sin_ND: Tensor

    def __init__(self, d_head: int, context_length: int, base: float, scaling: Stretch | None = None) -> None:
        super().__init__()
        self.d_head, self.base, self.scaling = d_head, base, scaling
        self.register_buffer("cos_ND", torch.empty(context_length, d_head), persistent=False)
        self.register_buffer("sin_ND", torch.empty(context_length, d_head), persistent=False)
        self.fill()

    def fill(self) -> None:
        """Compute the tables: cos(angle) twice, and sin(angle) with the sign that the swap asks for."""
        if self.cos_ND.is_meta:
            return
        frequencies = rotary_frequencies(self.d_head, self.base)
        if self.scaling is not None:
            frequencies = stretch(frequencies, self.scaling)
        positions = torch.arange(len(self.cos_ND), dtype=torch.float32, device="cpu")
        angles = positions[:, None] * frequencies
        cos, sin = angles.cos(), angles.sin()
        self.cos_ND.copy_(torch.cat([cos, cos], dim=-1))
        self.sin_ND.copy_(torch.cat([-sin, sin], dim=-1))

    def forward(
        self, q: Float[Tensor, "B T H D"], k: Float[Tensor, "B T G D"], start: int, lengths: Lengths | None = None
    ) -> tuple[Float[Tensor, "B T H D"], Float[Tensor, "B T G D"]]:
        """Return queries and keys turned by the angles of positions start, start+1, ...

        Args:
            lengths: of texts that lie end to end; positions begin anew at each.
        """
        stretches = [(start, start + q.shape[1])] if lengths is None else [(0, length) for length in lengths]
        cos_TD, sin_TD = (torch.cat([table[a:b] for a, b in stretches]) for table in (self.cos_ND, self.sin_ND))
        cos_T1D, sin_T1D = cos_TD[:, None].to(q.dtype), sin_TD[:, None].to(q.dtype)
        return rotate(q, cos_T1D, sin_T1D), rotate(k, cos_T1D, sin_T1D)


def rotate(
    x: Float[Tensor, "B T N D"], cos: Float[Tensor, "T 1 D"], signed_sin: Float[Tensor, "T 1 D"]
) -> Float[Tensor, "B T N D"]:
    """Turn each pair (channel i, channel i + D/2) by its angle."""
    swapped = x.roll(x.shape[-1] // 2, dims=-1)
    return torch.addcmul(x * cos, swapped, signed_sin)


class NoRotation(nn.Module):
    """Queries and keys as they are, where a model tells positions otherwise or not at all."""

    def forward(
        self, q: Float[Tensor, "B T H D"], k: Float[Tensor, "B T G D"], start: int, lengths: Lengths | None = None
    ) -> tuple[Float[Tensor, "B T H D"], Float[Tensor, "B T G D"]]:
        """Return both unchanged."""
        return q, k
