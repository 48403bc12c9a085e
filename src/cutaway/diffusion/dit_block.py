"""A block of the diffusion transformer: patches look at each other, then at the words, then each thinks for itself.

    x = x + gate_1 * attn(norm(x) * (1 + scale_1) + shift_1)
    x = x + cross(norm(x), words)                                   where there are words
    x = x + gate_2 * mlp(norm(x) * (1 + scale_2) + shift_2)

Peebles and Xie 2023, arXiv:2212.09748; where words come in: PixArt-alpha, arXiv:2310.00426.
Look at `pattern_BHTS`: which patches does a patch look at, at much noise and at little?
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.tap import tap
from cutaway.diffusion.attention import SelfAttention
from cutaway.diffusion.cross_attention import CrossAttention, ReadWords
from cutaway.diffusion.modulation import Modulation, modulated
from cutaway.nn.mlp import MLP, gelu


class DiTBlock(nn.Module):
    """Attention, words and MLP around one stream."""

    def __init__(self, d_model: int, n_heads: int, d_ff: int, d_words: int) -> None:
        super().__init__()
        self.attn = SelfAttention(d_model, n_heads)
        self.cross = CrossAttention(d_model, d_words, n_heads) if d_words else None
        self.mlp = MLP(d_model, d_ff, gelu, bias=True)

    def forward(
        self, x: Float[Tensor, "B P C"], parts: Sequence[Modulation], words: ReadWords | None
    ) -> Float[Tensor, "B P C"]:
        """Return the stream after this block.

        Args:
            parts: modulations of the attention and of the MLP.
            words: as this block reads them; None: there are none.
        """
        of_attn, of_mlp = parts
        x = tap("resid_pre_BPC", x)
        attn_out = tap("attn_out_BPC", self.attn(modulated(x, of_attn.shift_B1C, of_attn.scale_B1C)))
        x = torch.addcmul(x, of_attn.gate_B1C, attn_out)
        if self.cross is not None and words is not None:
            x = x + self.cross(x, words)
        x = tap("resid_mid_BPC", x)
        mlp_out = tap("mlp_out_BPC", self.mlp(modulated(x, of_mlp.shift_B1C, of_mlp.scale_B1C)))
        return tap("resid_post_BPC", torch.addcmul(x, of_mlp.gate_B1C, mlp_out))
