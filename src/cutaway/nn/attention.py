"""Attention: each position asks the positions before it a question and takes a mixture of their answers.

    scores[t,s]  = q[t] . k[s] / sqrt(D) + mask[t,s]      mask: 0 for s <= t, else -infinity (no future)
    pattern[t,:] = softmax(scores[t,:])                   shares that sum to one
    z[t]         = sum(s: pattern[t,s] * v[s])

Vaswani et al. 2017, arXiv:1706.03762, equation 1, in H heads side by side. Grouped queries (Ainslie et al.
2023, arXiv:2305.13245): G <= H key/value heads, each shared by H/G query heads. QK-norm (Henry et al. 2020,
arXiv:2010.04245) first normalises q and k head by head. `open_attention` is the formula as written;
`fused_attention` is the same in one kernel that never stores the T x S table. Look at the pattern: where does
a head look?
"""

from __future__ import annotations

import math
from itertools import groupby

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.tap import is_listening, tap
from cutaway.nn.kv_cache import LayerCache
from cutaway.nn.position import Lengths

OPEN_UP_TO = {"float32": 128, "bfloat16": 512}
"""Positions up to which the open formula trains faster on a CPU."""


def causal_mask(n_written: int, n_read: int, like: Tensor) -> Float[Tensor, "T S"]:
    """Return 0 where a new position may read (itself and all before) and -infinity elsewhere."""
    mask_TS = torch.full((n_written, n_read), -math.inf, dtype=like.dtype, device=like.device)
    return mask_TS.triu(diagonal=n_read - n_written + 1)


def open_attention(
    q: Float[Tensor, "B T H D"],
    k: Float[Tensor, "B S G D"],
    v: Float[Tensor, "B S G D"],
    scale: float,
    dropout: float = 0.0,
) -> Float[Tensor, "B T H D"]:
    """Return the mixture for each position and head, step by step; whoever listens hears each step."""
    B, T, H, D = q.shape
    S, queries_per_key = k.shape[1], H // k.shape[2]
    if queries_per_key > 1:
        k, v = k.repeat_interleave(queries_per_key, dim=2), v.repeat_interleave(queries_per_key, dim=2)
    q_NTD, k_NSD, v_NSD = (x.transpose(1, 2).reshape(B * H, x.shape[1], D) for x in (q, k, v))

    # q k^T * scale + mask, as one operation
    scores_NTS = torch.baddbmm(causal_mask(T, S, q_NTD), q_NTD, k_NSD.transpose(1, 2), alpha=scale)
    scores_BHTS = tap("scores_BHTS", scores_NTS.view(B, H, T, S))
    pattern_BHTS = tap("pattern_BHTS", scores_BHTS.softmax(dim=-1))
    pattern_BHTS = F.dropout(pattern_BHTS, dropout, training=dropout > 0)
    z_NTD = torch.bmm(pattern_BHTS.view(B * H, T, S).to(v_NSD.dtype), v_NSD)
    return z_NTD.view(B, H, T, D).transpose(1, 2)


def fused_attention(
    q: Float[Tensor, "B T H D"],
    k: Float[Tensor, "B S G D"],
    v: Float[Tensor, "B S G D"],
    scale: float,
    dropout: float = 0.0,
) -> Float[Tensor, "B T H D"]:
    """Return the same in one kernel (Dao et al. 2022, FlashAttention, arXiv:2205.14135)."""
    T, S = q.shape[1], k.shape[1]
    # The kernel's own causal mask takes the first position written for the first one read. A single new
    # position may read everything and needs no mask.
    is_causal = T == S and T > 1
    z_BHTD = F.scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=None if is_causal or T == 1 else causal_mask(T, S, q),
        dropout_p=dropout,
        is_causal=is_causal,
        scale=scale,
        enable_gqa=q.shape[2] != k.shape[2],
    )
    return z_BHTD.transpose(1, 2)


def attention(
    q: Float[Tensor, "B T H D"],
    k: Float[Tensor, "B S G D"],
    v: Float[Tensor, "B S G D"],
    scale: float,
    dropout: float = 0.0,
) -> Float[Tensor, "B T H D"]:
    """Return the mixture for each position and head: open while somebody listens or where that is faster.

    Measured on CPUs, forward and backward: open 1.4 to 10 times as fast as the fused kernel up to 128
    positions, and in bfloat16 1.7 times up to 512; forward only, and in float32 beyond, the fused one wins.
    """
    in_bfloat16 = q.dtype is torch.bfloat16 or torch.is_autocast_enabled("cpu")
    limit = OPEN_UP_TO["bfloat16" if in_bfloat16 else "float32"]
    open_is_faster = q.requires_grad and q.device.type == "cpu" and k.shape[1] <= limit
    attend = open_attention if is_listening() or open_is_faster else fused_attention
    return attend(q, k, v, scale, dropout)


def attention_by_text(
    q: Float[Tensor, "1 T H D"],
    k: Float[Tensor, "1 T G D"],
    v: Float[Tensor, "1 T G D"],
    lengths: Lengths,
    scale: float,
    dropout: float = 0.0,
) -> Float[Tensor, "1 T H D"]:
    """Return the same for texts that lie end to end, each position reading its own text only.

    One text after another, those of one length that follow each other together, without a mask: 1.6 to 3 times as fast
    on a CPU as all padded to the longest, and further ahead of a mask over the whole row (docs/log.md).
    """
    stretches = [(length, len(list(group))) for length, group in groupby(lengths)]
    sizes = [length * n for length, n in stretches]
    mixtures = []
    for (length, n), *parts in zip(stretches, *(x[0].split(sizes) for x in (q, k, v)), strict=True):
        q_BTHD, k_BTGD, v_BTGD = (part.unflatten(0, (n, length)) for part in parts)
        mixtures.append(attention(q_BTHD, k_BTGD, v_BTGD, scale, dropout).flatten(0, 1))
    return torch.cat(mixtures)[None]


class Attention(nn.Module):
    """Causal self-attention with H query heads and G key/value heads.

    Args:
        qk_norm: a norm over the D channels of each head of q and k, or `NoNorm`.
        rotary: turns q and k by their positions, or `NoRotation`.
        scale: what q . k is multiplied by, 1 / sqrt(D) in the paper.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int,
        d_head: int,
        qk_norm: nn.Module,
        rotary: nn.Module,
        scale: float,
        bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads, self.d_head = n_heads, n_kv_heads, d_head
        self.scale, self.dropout = scale, dropout
        self.q_proj = nn.Linear(d_model, n_heads * d_head, bias=bias)
        self.k_proj = nn.Linear(d_model, n_kv_heads * d_head, bias=bias)
        self.v_proj = nn.Linear(d_model, n_kv_heads * d_head, bias=bias)
        self.o_proj = nn.Linear(n_heads * d_head, d_model, bias=bias)
        self.qk_norm = qk_norm
        self.rotary = rotary

    def forward(
        self, x: Float[Tensor, "B T C"], cache: LayerCache | None = None, lengths: Lengths | None = None
    ) -> Float[Tensor, "B T C"]:
        """Return what the heads together write to the residual stream.

        Args:
            lengths: of texts that lie end to end in a row: each position then reads its own text only.
        """
        B, T, _ = x.shape
        q_BTHD = self.q_proj(x).view(B, T, self.n_heads, self.d_head)
        k_BTGD = self.k_proj(x).view(B, T, self.n_kv_heads, self.d_head)
        v_BTGD = self.v_proj(x).view(B, T, self.n_kv_heads, self.d_head)
        start = 0 if cache is None else cache.length
        q_BTHD, k_BTGD = self.rotary(self.qk_norm(q_BTHD), self.qk_norm(k_BTGD), start, lengths)
        q_BTHD, k_BTGD, v_BTGD = tap("q_BTHD", q_BTHD), tap("k_BTGD", k_BTGD), tap("v_BTGD", v_BTGD)
        k_BSGD, v_BSGD = (k_BTGD, v_BTGD) if cache is None else cache.append(k_BTGD, v_BTGD)

        dropout = self.dropout if self.training else 0.0
        if lengths is None:
            z_BTHD = attention(q_BTHD, k_BSGD, v_BSGD, self.scale, dropout)
        else:
            z_BTHD = attention_by_text(q_BTHD, k_BSGD, v_BSGD, lengths, self.scale, dropout)
        z_BTHD = tap("z_BTHD", z_BTHD)
        return self.o_proj(z_BTHD.reshape(B, T, self.n_heads * self.d_head))
