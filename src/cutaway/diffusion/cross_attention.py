"""Cross-attention: every patch asks which words concern it, and takes a mixture of what they say.

    q = Wq norm(x_patch);  k, v = Wkv word;   x' = x + Wo mix(q, k, v)

Vaswani et al. 2017; for pictures Rombach et al. 2022, arXiv:2112.10752, 3.3. Wo starts at zero, so words say nothing at
first, and has no offset: no words, nothing said. Words and their mask are alike at every step of a drawing, so keys and
values are a value of their own (`read`), made once. Look at `cross.weights_BHPT`: each word's share, drawn on the
picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cutaway.base.tap import tap
from cutaway.diffusion.attention import hiding, mix
from cutaway.diffusion.modulation import EPS

NAMES = ("cross.scores_BHPT", "cross.weights_BHPT")


class ReadWords(NamedTuple):
    """Words as one block reads them."""

    k_BTHD: Tensor
    v_BTHD: Tensor
    hidden_B11T: Tensor | None


class CrossAttention(nn.Module):
    """From patches to words, with H heads."""

    def __init__(self, d_model: int, d_words: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.kv_proj = nn.Linear(d_words, 2 * d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def read(self, words: Float[Tensor, "B T _"], mask_BT: Bool[Tensor, "B T"] | None) -> ReadWords:
        """Return keys and values of the words."""
        k_BTHD, v_BTHD = self.kv_proj(words).unflatten(-1, (2, self.n_heads, -1)).unbind(2)
        if mask_BT is None:
            return ReadWords(k_BTHD, v_BTHD, None)
        return ReadWords(k_BTHD, v_BTHD * mask_BT[:, :, None, None], hiding(mask_BT, k_BTHD.dtype))

    def forward(self, x: Float[Tensor, "B P C"], words: ReadWords) -> Float[Tensor, "B P C"]:
        """Return what the words add to each patch."""
        q_BPHD = self.q_proj(F.layer_norm(x, x.shape[-1:], eps=EPS)).unflatten(-1, (self.n_heads, -1))
        z_BPHD = mix(q_BPHD, words.k_BTHD, words.v_BTHD, words.hidden_B11T, NAMES)
        return tap("cross.out_BPC", self.o_proj(z_BPHD.flatten(2)))
