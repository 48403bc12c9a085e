"""Norms keep the residual stream's numbers in a range the next part can use.

    LayerNorm  y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias    Ba et al. 2016, arXiv:1607.06450
    RMSNorm    y = x / sqrt(mean(x^2) + eps) * weight       Zhang and Sennrich 2019, arXiv:1910.07467

Mean and variance run over the last axis, so every position is treated alone. RMSNorm leaves out the centring
and is as good in practice; on a CPU LayerNorm has the faster kernel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm(nn.Module):
    """Centre each position, scale it to unit variance, then apply a learned gain and offset."""

    def __init__(self, width: int, eps: float, gain: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.width, self.eps = width, eps
        self.weight = nn.Parameter(torch.ones(width)) if gain else None
        self.bias = nn.Parameter(torch.zeros(width)) if gain and bias else None

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        """Return the normalised positions."""
        return F.layer_norm(x, (self.width,), self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """Scale each position to a root mean square of one, then apply a learned gain."""

    def __init__(self, width: int, eps: float, gain: bool = True) -> None:
        super().__init__()
        self.width, self.eps = width, eps
        self.weight = nn.Parameter(torch.ones(width)) if gain else None

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        """Return the normalised positions."""
        return F.rms_norm(x, (self.width,), self.weight, self.eps)


class Float32RMSNorm(RMSNorm):
    """RMSNorm computed in float32 whatever comes in: Llama was trained so, and its checkpoints are read so.

    In bfloat16 this is more exact than the plain norm; in float64 it is the one place that rounds.
    """

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        """Return the normalised positions in the input's precision."""
        if x.dtype is torch.float32:
            return super().forward(x)
        normalised = F.rms_norm(x.float(), (self.width,), None, self.eps).to(x.dtype)
        return normalised if self.weight is None else normalised * self.weight


class NoNorm(nn.Module):
    """Where a model has no norm."""

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        """Return the input."""
        return x
