"""Attention: each position asks the positions before it a question and takes a mixture of their answers.

    scores[t,s]  = q[t] . k[s] / sqrt(D)          for s <= t, else -infinity (the future is not read)
    pattern[t,:] = softmax(scores[t,:])           shares that sum to one
    z[t]         = sum(s: pattern[t,s] * v[s])

Vaswani et al. 2017, arXiv:1706.03762, equation 1, in H heads side by side. Grouped queries (Ainslie et al.
2023, arXiv:2305.13245): G <= H key/value heads, each shared by H/G query heads. QK-norm (Henry et al. 2020,
arXiv:2010.04245) normalises q and k head by head first. `explicit_attention` is the formula;
`fused_attention` the same in one kernel that never stores the T x S table: it runs unless somebody listens.
Look at the pattern: where does a head look?
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cutaway.base.tap import _listeners, tap
from cutaway.nn.kv_cache import LayerCache


def visible(n_written: int, n_read: int, device: torch.device) -> Bool[Tensor, "T S"]:
    """Return which positions each new one may read: itself and all before. The new ones are the last."""
    written_T1 = torch.arange(n_read - n_written, n_read, device=device)[:, None]
    return torch.arange(n_read, device=device) <= written_T1


def explicit_attention(
    q: Float[Tensor, "B T H D"],
    k: Float[Tensor, "B S G D"],
    v: Float[Tensor, "B S G D"],
    dropout: float = 0.0,
) -> Float[Tensor, "B T H D"]:
    """Return the mixture for each position and head, step by step, each step named for whoever listens."""
    k_BSHD = k.repeat_interleave(q.shape[2] // k.shape[2], dim=2)
    v_BSHD = v.repeat_interleave(q.shape[2] // v.shape[2], dim=2)
    scores_BHTS = torch.einsum("bthd,bshd->bhts", q, k_BSHD) / math.sqrt(q.shape[-1])
    scores_BHTS = scores_BHTS.masked_fill(~visible(q.shape[1], k.shape[1], q.device), -math.inf)
    scores_BHTS = tap("scores_BHTS", scores_BHTS)
    pattern_BHTS = tap("pattern_BHTS", scores_BHTS.softmax(dim=-1))
    pattern_BHTS = F.dropout(pattern_BHTS, dropout, training=dropout > 0)
    return torch.einsum("bhts,bshd->bthd", pattern_BHTS, v_BSHD)


def fused_attention(
    q: Float[Tensor, "B T H D"],
    k: Float[Tensor, "B S G D"],
    v: Float[Tensor, "B S G D"],
    dropout: float = 0.0,
) -> Float[Tensor, "B T H D"]:
    """Return the same in one kernel (Dao et al. 2022, FlashAttention, arXiv:2205.14135)."""
    n_written, n_read = q.shape[1], k.shape[1]
    # The kernel's own causal mask takes the first position written for the first one read. A single new
    # position may read everything and needs no mask.
    is_causal = n_written == n_read and n_written > 1
    mask_TS = None if is_causal or n_written == 1 else visible(n_written, n_read, q.device)
    z_BHTD = F.scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=mask_TS,
        dropout_p=dropout,
        is_causal=is_causal,
        enable_gqa=q.shape[2] != k.shape[2],
    )
    return z_BHTD.transpose(1, 2)


class Attention(nn.Module):
    """Causal self-attention with H query heads and G key/value heads.

    Args:
        qk_norm: a norm over the D channels of each head of q and k, or `NoNorm`.
        rotary: turns q and k by their positions, or `NoRotation`.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int,
        d_head: int,
        qk_norm: nn.Module,
        rotary: nn.Module,
        bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads, self.d_head, self.dropout = n_heads, n_kv_heads, d_head, dropout
        self.q_proj = nn.Linear(d_model, n_heads * d_head, bias=bias)
        self.k_proj = nn.Linear(d_model, n_kv_heads * d_head, bias=bias)
        self.v_proj = nn.Linear(d_model, n_kv_heads * d_head, bias=bias)
        self.o_proj = nn.Linear(n_heads * d_head, d_model, bias=bias)
        self.qk_norm = qk_norm
        self.rotary = rotary

    def forward(self, x: Float[Tensor, "B T C"], cache: LayerCache | None = None) -> Float[Tensor, "B T C"]:
        """Return what the heads together write to the residual stream."""
        B, T, _ = x.shape
        q_BTHD = self.q_proj(x).view(B, T, self.n_heads, self.d_head)
        k_BTGD = self.k_proj(x).view(B, T, self.n_kv_heads, self.d_head)
        v_BTGD = self.v_proj(x).view(B, T, self.n_kv_heads, self.d_head)
        start = 0 if cache is None else cache.length
        q_BTHD, k_BTGD = self.rotary(self.qk_norm(q_BTHD), self.qk_norm(k_BTGD), start)
        q_BTHD, k_BTGD, v_BTGD = tap("q_BTHD", q_BTHD), tap("k_BTGD", k_BTGD), tap("v_BTGD", v_BTGD)

        k_BSGD, v_BSGD = (k_BTGD, v_BTGD) if cache is None else cache.append(k_BTGD, v_BTGD)
        attend = explicit_attention if _listeners else fused_attention
        z_BTHD = tap("z_BTHD", attend(q_BTHD, k_BSGD, v_BSGD, self.dropout if self.training else 0.0))
        return self.o_proj(z_BTHD.reshape(B, T, self.n_heads * self.d_head))
