"""A corrected product in fewer multiplications: the matrix is corrected, not the output.

    y = x M^T + b    with    M = W + scale B A                  N rows of x, I inputs, O outputs, R directions
    dx = g M         dB = scale g^T (x A^T)         dA = scale (g B)^T x              g = dL/dy

is LoRA's formula (arXiv:2106.09685, equation 3) with the brackets elsewhere. M is made anew at every step, and once more
for the derivative: 2 O I R multiplications, where correcting the output takes N R (I + O) and some passes over inputs and
outputs. So it pays where the batch has more rows than the matrix (`pays`), and only where W is in 32 bits or more: in 16
bits W would swallow the correction. W itself gets no gradient: it does not learn.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def pays(n_rows: int, n_inputs: int, n_outputs: int) -> bool:
    """Whether correcting the matrix takes fewer multiplications than correcting the output."""
    return n_rows * (n_inputs + n_outputs) > 2 * n_inputs * n_outputs


class CorrectedProduct(torch.autograd.Function):
    """x (W + scale B A)^T + b."""

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
        """Return the output, keeping what came in."""
        ctx.save_for_backward(x, W, A, B)
        ctx.scale = scale
        return F.linear(x, torch.addmm(W, B, A, alpha=scale), b)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients with respect to x, A and B."""
        x, W, A, B = ctx.saved_tensors
        g_NO, x_NI = gradient.flatten(0, -2), x.flatten(0, -2)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (g_NO @ torch.addmm(W, B, A, alpha=ctx.scale)).view_as(x)
        dA = (g_NO @ (B * ctx.scale)).mT @ x_NI
        dB = g_NO.mT @ (x_NI @ (A * ctx.scale).mT)
        return dx, None, None, dA, dB, None
