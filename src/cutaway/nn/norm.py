"""Norms keep the residual stream's numbers in a range the next part can use.

    LayerNorm  y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias    Ba et al. 2016, arXiv:1607.06450
    RMSNorm    y = x / sqrt(mean(x^2) + eps) * weight       Zhang and Sennrich 2019, arXiv:1910.07467

Mean and variance run over the last axis, so every position is treated alone. RMSNorm leaves out the centring
and is as good in practice; on a CPU LayerNorm has the faster kernel.
"""

from __future__ import annotations

from typing import Any

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
        """Return the normalised positions; half precision is squared and summed in float32."""
        normalised = scale_to_one(self.widen(x), self.eps).to(x.dtype)
        return normalised if self.weight is None else normalised * self.weight

    def widen(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        """Return the input in the precision to compute in."""
        return x if x.dtype is torch.float64 else x.float()


class Float32RMSNorm(RMSNorm):
    """RMSNorm in float32 whatever comes in, float64 too: Llama's own code does so, and equal means equal."""

    def widen(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        """Return the input in float32."""
        return x.float()


def scale_to_one(x: Float[Tensor, "*N C"], eps: float) -> Float[Tensor, "*N C"]:
    """Return x / sqrt(mean(x^2) + eps)."""
    if x.requires_grad:
        return ScaleToOne.apply(x, eps)
    return F.rms_norm(x, x.shape[-1:], None, eps)


class ScaleToOne(torch.autograd.Function):
    """The same with its derivative written out: on a CPU half the time of what PyTorch derives.

    y = x r with r = 1 / sqrt(mean(x^2) + eps);  dL/dx = r (g - y mean(g y))  for g = dL/dy
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        """Return the value."""
        r = (x.square().mean(-1, keepdim=True) + eps).rsqrt()
        y = x * r
        ctx.save_for_backward(y, r)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient with respect to x."""
        y, r = ctx.saved_tensors
        along_y = (gradient * y).mean(-1, keepdim=True)
        return torch.addcmul(gradient, y, along_y, value=-1).mul_(r), None


class NoNorm(nn.Module):
    """Where a model has no norm."""

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        """Return the input."""
        return x
