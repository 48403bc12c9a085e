"""The loss of a head without a table of all logits.

    loss = sum over n of  log sum_v exp(l[n,v]) - l[n,target[n]]           l = h W^T
    dloss/dh = (p - 1[target]) W        dloss/dW = (p - 1[target])^T h     p = softmax(l)

The derivative needs p, and p is there when the loss is computed: so some rows of logits are made, used for both, and let
go (Wijmans et al. 2024, Cut Your Losses, arXiv:2411.09009, has the same idea in one kernel). With tens of thousands of
tokens the table is larger than all that the blocks keep.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.base.tap import is_listening, tap

TINY = 1e-30
"""Probabilities below this have lost digits, or are zero."""
ROWS = 512
"""Positions worked on at a time: enough that the head's own gradient is added to seldom."""


def head_loss(
    hidden: Float[Tensor, "N C"], head: nn.Linear, targets: Int[Tensor, " N"], divisor: float = 1.0
) -> Float[Tensor, ""]:
    """Return the sum of -log p(target), divided.

    Whoever listens hears the logits, all of them; then, and for a head of another kind, they are made as usual.
    """
    if is_listening() or type(head) is not nn.Linear or head.bias is not None:
        logits_NV = tap("logits_NV", head(hidden))
        return F.cross_entropy(logits_NV.float(), targets, reduction="sum") / divisor
    wants_gradient = torch.is_grad_enabled() and (hidden.requires_grad or head.weight.requires_grad)
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    return HeadLoss.apply(hidden, head.weight, targets, divisor, dtype, wants_gradient)


class HeadLoss(torch.autograd.Function):
    """The loss of the rows, with the gradients found on the way."""

    @staticmethod
    def forward(
        ctx: Any,
        h: Float[Tensor, "N C"],
        W: Float[Tensor, "V C"],
        targets: Int[Tensor, " N"],
        divisor: float,
        dtype: torch.dtype,
        wants_gradient: bool,
    ) -> Float[Tensor, ""]:
        """Return the loss, keeping the gradients.

        Args:
            dtype: of the products.
        """
        with torch.autocast(h.device.type, enabled=False):
            rounded_W = W.to(dtype)
            n_parts = -(-len(h) // ROWS) or 1
            loss = torch.zeros((), dtype=torch.promote_types(torch.float32, dtype), device=h.device)
            dh: list[Tensor] = []
            dW: Tensor | None = None
            for h_NC, targets_N in zip(h.to(dtype).tensor_split(n_parts), targets.tensor_split(n_parts), strict=True):
                logits_NV = h_NC @ rounded_W.mT
                p_NV = logits_NV.softmax(-1, dtype=loss.dtype)
                p_targets_N = p_NV.gather(1, targets_N[:, None])
                if p_targets_N.amin() > TINY:
                    loss -= p_targets_N.log().sum()
                else:
                    loss += F.cross_entropy(logits_NV.to(loss.dtype), targets_N, reduction="sum")
                del logits_NV
                if wants_gradient:
                    p_NV[torch.arange(len(targets_N), device=h.device), targets_N] -= 1
                    p_NV = p_NV.to(dtype)
                    dh.append(p_NV @ rounded_W)
                    if ctx.needs_input_grad[1]:
                        share_NC = h_NC / divisor
                        if dW is None:
                            dW = (p_NV.mT @ share_NC).to(W.dtype)
                        elif dW.dtype is dtype:
                            dW.addmm_(p_NV.mT, share_NC)
                        else:
                            dW.add_(p_NV.mT @ share_NC)
        if wants_gradient:
            ctx.gradients = torch.cat(dh).to(h.dtype).div_(divisor), dW
        return loss / divisor

    @staticmethod
    def backward(ctx: Any, gradient: Float[Tensor, ""]) -> tuple[Tensor | None, ...]:
        """Return the gradients with respect to h and W. They are handed over, not copied: this can be asked once."""
        dh, dW = ctx.gradients
        del ctx.gradients
        if gradient != 1:
            dh, dW = dh.mul_(gradient), None if dW is None else dW.mul_(gradient)
        return dh, dW, None, None, None, None
