"""GPT: the decoder of GPT-2, and our own with today's parts. Each setting of `GPTConfig` chooses a part here.

GPT-2 (Radford et al. 2019) is learned positions, LayerNorm, GELU's tanh form, biases and a tied head. Our
default has rotary positions, RMSNorm, QK-norm, ReLU^2 and blocks that start as the identity: it reaches the
same loss in a fraction of the steps (`cutaway bench loss`).
"""

from __future__ import annotations

import math

from torch import nn

from cutaway.models.config import GPTConfig
from cutaway.models.decoder import Decoder
from cutaway.nn.attention import Attention
from cutaway.nn.block import Block
from cutaway.nn.embedding import LearnedPositions, NGramEmbedding, TokenEmbedding
from cutaway.nn.mlp import ACTIVATIONS, MLP, GatedMLP
from cutaway.nn.norm import LayerNorm, NoNorm, RMSNorm
from cutaway.nn.position import NoRotation, Rotary


def assemble_gpt(config: GPTConfig) -> Decoder:
    """Return the decoder with uninitialised weights, on the current default device."""
    vocab_size = config.known_vocab_size
    d_model, d_head, bias = config.d_model, config.d_head, config.bias

    def norm(width: int = d_model, gain: bool = config.norm_gain) -> nn.Module:
        if config.norm == "layer":
            return LayerNorm(width, config.norm_eps, gain, bias)
        return RMSNorm(width, config.norm_eps, gain)

    def mlp() -> nn.Module:
        if config.mlp == "swiglu":
            return GatedMLP(d_model, config.mlp_width, bias)
        return MLP(d_model, config.mlp_width, ACTIVATIONS[config.mlp], bias)

    rotary: nn.Module = NoRotation()
    if config.positions == "rotary":
        rotary = Rotary(d_head, config.context_length, config.rotary_base, config.rotary_scaling)

    def attention() -> Attention:
        return Attention(
            d_model,
            config.n_heads,
            config.n_kv_heads or config.n_heads,
            d_head,
            qk_norm=norm(d_head, gain=False) if config.qk_norm else NoNorm(),
            rotary=rotary,
            scale=config.attention_scale or 1 / math.sqrt(d_head),
            bias=bias,
            dropout=config.dropout,
        )

    added: dict[str, nn.Module] = {}
    if config.positions == "learned":
        added["positions"] = LearnedPositions(config.context_length, d_model)
    for n, rows in zip(config.ngram_sizes, config.ngram_rows, strict=True):
        added[f"ngrams_{n}"] = NGramEmbedding(n, vocab_size, rows, d_model, config.ngram_dropout)
    return Decoder(
        config,
        token_embedding=TokenEmbedding(vocab_size, d_model),
        added_embeddings=added,
        embedding_norm=norm() if config.embedding_norm else NoNorm(),
        blocks=[Block(norm(), attention(), norm(), mlp(), config.dropout) for _ in range(config.n_layers)],
        final_norm=norm() if config.final_norm else NoNorm(),
        lm_head=nn.Linear(d_model, vocab_size, bias=False),
    )
