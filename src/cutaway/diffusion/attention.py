"""Attention without a direction: patches look at all patches, patches at words, words at all words.

    scores[t,s]  = q[t] . k[s] / sqrt(D)        s runs over what there is to read; what the mask hides weighs nothing
    weights[t,:] = softmax(scores[t,:])
    z[t]         = sum(s: weights[t,s] * v[s])

The formula of `nn/attention.py` without its order in time. Where nothing may be read at all, z is zero, not the mean of
nothing. Open, step by step, while somebody listens and where that trains faster; one fused kernel otherwise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cutaway.base.tap import is_listening, tap

HIDDEN = -1e30
"""Added to a score that is not to count: finite, since a softmax over nothing but -infinity is not a number."""


def hiding(mask_BS: Bool[Tensor, "B S"], dtype: torch.dtype) -> Float[Tensor, "B 1 1 S"]:
    """Return what is added to the scores: 0 where something may be read, `HIDDEN` elsewhere."""
    return torch.zeros(mask_BS.shape, dtype=dtype, device=mask_BS.device).masked_fill_(~mask_BS, HIDDEN)[:, None, None]


def open_mix(
    q: Float[Tensor, "B T H D"],
    k: Float[Tensor, "B S H D"],
    v: Float[Tensor, "B S H D"],
    hidden: Float[Tensor, "B 1 1 S"] | None = None,
    names: tuple[str, str] = ("scores_BHTS", "pattern_BHTS"),
) -> Float[Tensor, "B T H D"]:
    """Return the mixture for each position and head, step by step; whoever listens hears each step.

    Args:
        names: of the scores and of the weights, for who listens.
    """
    B, T, H, D = q.shape
    S = k.shape[1]
    q_NTD, k_NSD, v_NSD = (x.transpose(1, 2).reshape(B * H, x.shape[1], D) for x in (q, k, v))
    scores_BHTS = torch.bmm(q_NTD * D**-0.5, k_NSD.transpose(1, 2)).view(B, H, T, S)
    if hidden is not None:
        scores_BHTS = scores_BHTS + hidden
    weights_BHTS = tap(names[0], scores_BHTS).softmax(dim=-1)
    if hidden is not None:
        weights_BHTS = weights_BHTS * (hidden == 0)  # of a row that may read nothing
    weights_BHTS = tap(names[1], weights_BHTS)
    z_NTD = torch.bmm(weights_BHTS.view(B * H, T, S).to(v_NSD.dtype), v_NSD)
    return z_NTD.view(B, H, T, D).transpose(1, 2)


def fused_mix(
    q: Float[Tensor, "B T H D"],
    k: Float[Tensor, "B S H D"],
    v: Float[Tensor, "B S H D"],
    hidden: Float[Tensor, "B 1 1 S"] | None = None,
) -> Float[Tensor, "B T H D"]:
    """Return the same in one kernel; a row that may read nothing takes the mean of its values, which are zero."""
    z_BHTD = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=hidden)
    return z_BHTD.transpose(1, 2)


def mix(
    q: Float[Tensor, "B T H D"],
    k: Float[Tensor, "B S H D"],
    v: Float[Tensor, "B S H D"],
    hidden: Float[Tensor, "B 1 1 S"] | None = None,
    names: tuple[str, str] = ("scores_BHTS", "pattern_BHTS"),
) -> Float[Tensor, "B T H D"]:
    """Return the mixture for each position and head: open while somebody listens or where that is faster.

    On a CPU in bfloat16 the fused kernel's derivative takes seven times as long as the open formula's.

    Args:
        v: zero at what is hidden.
        hidden: of `hiding`; left out: everything is read.
    """
    open_is_faster = q.requires_grad and q.dtype is torch.bfloat16 and q.device.type == "cpu"
    if is_listening() or open_is_faster:
        return open_mix(q, k, v, hidden, names)
    return fused_mix(q, k, v, hidden)


class SelfAttention(nn.Module):
    """Attention of tokens among themselves, in all directions, with H heads; one product makes q, k and v."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv_proj = nn.Linear(d_model, 3 * d_model)
        self.o_proj = nn.Linear(d_model, d_model)

    def forward(self, x: Float[Tensor, "B T C"], mask_BT: Bool[Tensor, "B T"] | None = None) -> Float[Tensor, "B T C"]:
        """Return what the heads together write; what the mask hides is not read."""
        q_BTHD, k_BTHD, v_BTHD = self.qkv_proj(x).unflatten(-1, (3, self.n_heads, -1)).unbind(2)
        hidden_B11T = None
        if mask_BT is not None:
            hidden_B11T, v_BTHD = hiding(mask_BT, k_BTHD.dtype), v_BTHD * mask_BT[:, :, None, None]
        return self.o_proj(mix(q_BTHD, k_BTHD, v_BTHD, hidden_B11T).flatten(2))
