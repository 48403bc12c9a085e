"""LoRA's formula in fewer passes over memory: in 32 bits the matrix is corrected, in 16 bits the output where it lies.

    y = x M^T + b                         M = W + scale B A           N rows of x, I inputs, O outputs, R directions
    y = (x W^T + b) + (x A^T) (scale B^T)                             the same (arXiv:2106.09685, equation 3)
    dx = g M         dB = scale g^T (x A^T)         dA = scale (g B)^T x              g = dL/dy

M is made anew at every step, and once more for the derivative: 2 O I R multiplications, where correcting the output takes
N R (I + O) and some passes over inputs and outputs. So it pays where the batch has more rows than the matrix (`pays`), and
only where W is in 32 bits or more: in 16 bits W would swallow the correction. There (autocast) the products of the
adapter are added to those of W by the same kernel. W itself gets no gradient: it does not learn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Matrix = Tensor | Callable[[], Tensor]
"""W, or what makes it: of a matrix kept in few bits no copy in floats stays."""


def pays(n_rows: int, n_inputs: int, n_outputs: int) -> bool:
    """Whether correcting the matrix takes fewer multiplications than correcting the output."""
    return n_rows * (n_inputs + n_outputs) > 2 * n_inputs * n_outputs


def product_dtype(x: Tensor) -> torch.dtype:
    """Return the precision in which products with x are made: its own, or autocast's."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def corrected(W: Matrix, A: Tensor, B: Tensor, scale: float) -> Float[Tensor, "O I"]:
    """Return W + scale B A."""
    if isinstance(W, Tensor):
        return torch.addmm(W, B, A, alpha=scale)
    return W().addmm_(B, A, alpha=scale)


class CorrectedMatrix(torch.autograd.Function):
    """x (W + scale B A)^T + b."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "*N I"],
        W: Matrix,
        b: Float[Tensor, " O"] | None,
        A: Float[Tensor, "R I"],
        B: Float[Tensor, "O R"],
        scale: float,
    ) -> Float[Tensor, "*N O"]:
        """Return the output, keeping what came in."""
        ctx.save_for_backward(x, A, B)
        ctx.W, ctx.scale = W, scale
        return F.linear(x, corrected(W, A, B, scale), b)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients with respect to x, A and B."""
        x, A, B = ctx.saved_tensors
        g_NO, x_NI = gradient.flatten(0, -2), x.flatten(0, -2)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (g_NO @ corrected(ctx.W, A, B, ctx.scale)).view_as(x)
        dA = (g_NO @ (B * ctx.scale)).mT @ x_NI
        dB = g_NO.mT @ (x_NI @ (A * ctx.scale).mT)
        return dx, None, None, dA, dB, None


class CorrectedOutput(torch.autograd.Function):
    """x W^T + b + scale (x A^T) B^T in 16 bits: each product adds to the last where it lies."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "*N I"],
        W: Float[Tensor, "O I"],
        b: Float[Tensor, " O"] | None,
        A: Float[Tensor, "R I"],
        B: Float[Tensor, "O R"],
        scale: float,
    ) -> Float[Tensor, "*N O"]:
        """Return the output in W's precision."""
        x_NI, rounded_A, scaled_B = x.to(W.dtype).flatten(0, -2), A.to(W.dtype), (B * scale).to(W.dtype)
        y_NO = F.linear(x_NI, W, None if b is None else b.to(W.dtype))
        h_NR = x_NI @ rounded_A.mT
        y_NO.addmm_(h_NR, scaled_B.mT)
        ctx.save_for_backward(x_NI, W, h_NR, rounded_A, scaled_B)
        ctx.shape, ctx.dtype, ctx.scale, ctx.factor_dtype = x.shape, x.dtype, scale, A.dtype
        return y_NO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients with respect to x, A and B."""
        x_NI, W, h_NR, rounded_A, scaled_B = ctx.saved_tensors
        g_NO = gradient.flatten(0, -2)
        dh_NR = g_NO @ scaled_B
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (g_NO @ W).addmm_(dh_NR, rounded_A).to(ctx.dtype).view(ctx.shape)
        dA, dB = dh_NR.mT @ x_NI, g_NO.mT @ h_NR
        return dx, None, None, dA.to(ctx.factor_dtype), dB.to(ctx.factor_dtype) * ctx.scale, None
