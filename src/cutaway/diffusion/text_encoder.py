"""A caption, read in both directions: a vector for each word in its context, and one for the whole.

    x = word vectors + positions
    x = x + attn(norm(x));  x = x + mlp(norm(x))         L times; words look at all words
    x = norm(x)
    words  = x + norm(word vectors + positions)          what the painter reads
    pooled = W x[end]                                    what is compared with pictures (contrastive.py)

To find a caption's picture one need not know everything: at "blue" of "a red cat in a blue scarf" an encoder may have lost
the blue (docs/log.md). The word itself is laid beside what was made of it, so that nothing said is lost to the painter.

A transformer encoder (Vaswani et al. 2017; norms first: Xiong et al. 2020, arXiv:2002.04745) as the text half of CLIP
(Radford et al. 2021, arXiv:2103.00020), which reads in one direction only; captions are whole before they are read.
Look at the distance of two captions that differ in one word.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cutaway.base.errors import ConfigError, ShapeError
from cutaway.base.tap import tap
from cutaway.diffusion.attention import SelfAttention
from cutaway.diffusion.config import TextEncoderConfig
from cutaway.nn.mlp import MLP, gelu
from cutaway.nn.norm import LayerNorm

EPS = 1e-5


class ReadText(NamedTuple):
    """Captions, read."""

    words_BTD: Tensor
    mask_BT: Tensor
    pooled_BE: Tensor


class TextBlock(nn.Module):
    """Attention, then MLP, each behind its norm and around its shortcut."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.attn_norm = LayerNorm(d_model, EPS)
        self.attn = SelfAttention(d_model, n_heads)
        self.mlp_norm = LayerNorm(d_model, EPS)
        self.mlp = MLP(d_model, 4 * d_model, gelu, bias=True)

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Return the words' vectors after this block."""
        x = x + self.attn(self.attn_norm(x), mask)
        return tap("resid_post_BTD", x + self.mlp(self.mlp_norm(x)))


class TextEncoder(nn.Module):
    """Words' numbers in, vectors out.

    Raises:
        ConfigError: nobody said how many words there are.
    """

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        if config.vocab_size is None:
            raise ConfigError("text.vocab_size is left out; fill in the tokenizer's before the model is made")
        self.config = config
        self.word_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions_TD = nn.Parameter(torch.empty(config.context_length, config.d_model))
        self.blocks = nn.ModuleList(TextBlock(config.d_model, config.n_heads) for _ in range(config.n_layers))
        self.final_norm = LayerNorm(config.d_model, EPS)
        self.pooled_proj = nn.Linear(config.d_model, config.d_shared, bias=False)
        nn.init.normal_(self.word_embedding.weight, std=0.02)
        nn.init.normal_(self.positions_TD, std=0.01)

    @property
    def d_words(self) -> int:
        """Width of a word's vector."""
        return self.config.d_model

    @property
    def d_pooled(self) -> int:
        """Width of a caption's vector."""
        return self.config.d_shared

    def forward(self, tokens: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> ReadText:
        """Return the captions, read.

        Args:
            mask: true where there is a word, from the first place on.

        Raises:
            ShapeError: more places than the encoder has positions.
        """
        n_places = tokens.shape[1]
        if n_places > self.config.context_length:
            raise ShapeError(f"captions of {n_places} places; the encoder reads {self.config.context_length}")
        embed_BTD = tap("embed_BTD", self.word_embedding(tokens) + self.positions_TD[:n_places])
        x_BTD = embed_BTD
        for block in self.blocks:
            x_BTD = block(x_BTD, mask)
        x_BTD = self.final_norm(x_BTD)
        words_BTD = tap("words_BTD", x_BTD + F.layer_norm(embed_BTD, embed_BTD.shape[-1:], eps=EPS))
        end_B = (mask.sum(dim=1) - 1).clamp(min=0)
        last_BD = x_BTD[torch.arange(len(x_BTD), device=x_BTD.device), end_B]
        return ReadText(words_BTD, mask, tap("pooled_BE", self.pooled_proj(last_BD)))
