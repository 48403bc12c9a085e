"""Llama: rotary positions, RMSNorm, SwiGLU, grouped queries, no positions table (Touvron et al. 2023,
arXiv:2302.13971; Llama 3: Grattafiori et al. 2024, arXiv:2407.21783). `LlamaConfig` says what a checkpoint
can choose.
"""

from __future__ import annotations

import math

from torch import nn

from cutaway.models.config import LlamaConfig
from cutaway.models.decoder import Decoder
from cutaway.nn.attention import Attention
from cutaway.nn.block import Block
from cutaway.nn.embedding import TokenEmbedding
from cutaway.nn.mlp import GatedMLP
from cutaway.nn.norm import Float32RMSNorm, NoNorm
from cutaway.nn.position import Rotary


def assemble_llama(config: LlamaConfig) -> Decoder:
    """Return the decoder with uninitialised weights, on the current default device."""
    d_model, d_head = config.d_model, config.head_width
    rotary = Rotary(d_head, config.context_length, config.rotary_base, config.rotary_scaling)

    def norm() -> nn.Module:
        return Float32RMSNorm(d_model, config.norm_eps)

    def attention() -> Attention:
        return Attention(
            d_model,
            config.n_heads,
            config.n_kv_heads or config.n_heads,
            d_head,
            qk_norm=NoNorm(),
            rotary=rotary,
            scale=1 / math.sqrt(d_head),
            bias=config.attention_bias,
            dropout=config.dropout,
        )

    def mlp() -> nn.Module:
        return GatedMLP(d_model, config.mlp_width, config.mlp_bias)

    return Decoder(
        config,
        token_embedding=TokenEmbedding(config.known_vocab_size, d_model),
        added_embeddings={},
        embedding_norm=NoNorm(),
        blocks=[Block(norm(), attention(), norm(), mlp(), dropout=0.0) for _ in range(config.n_layers)],
        final_norm=norm(),
        lm_head=nn.Linear(d_model, config.known_vocab_size, bias=False),
    )
