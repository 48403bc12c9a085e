"""GPT-2 as `transformers` stores it: query, key and value in one matrix, and matrices with inputs as rows."""

from __future__ import annotations

import re
from typing import Any

from cutaway.base.errors import ModelFormatError
from cutaway.interop.layout import Layout, Piece, Settings, refuse, setting
from cutaway.models.config import GPTConfig, ModelConfig

ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu"}


def read_settings(settings: Settings) -> GPTConfig:
    """Return our config for a GPT-2 config.json.

    Dropout acts only while training; three shares that differ have no place in ours, and then it is off.
    """
    refuse(settings, "scale_attn_weights", "scores without 1/sqrt(width)", True)
    refuse(settings, "scale_attn_by_inverse_layer_idx", "scores scaled by the block's number", False)
    refuse(settings, "add_cross_attention", "reading a second text", False)
    activation = setting(settings, "activation_function", str, "gelu_new")
    if activation not in ACTIVATIONS:
        raise ModelFormatError(
            f"config.json says activation_function = {activation!r}; expected one of {sorted(ACTIVATIONS)}"
        )
    shares = {setting(settings, f"{part}_pdrop", float, 0.1) for part in ("resid", "embd", "attn")}
    return GPTConfig(
        vocab_size=setting(settings, "vocab_size", int, 50257),
        context_length=setting(settings, "n_positions", int, 1024),
        d_model=setting(settings, "n_embd", int, 768),
        n_layers=setting(settings, "n_layer", int, 12),
        n_heads=setting(settings, "n_head", int, 12),
        d_ff=setting(settings, "n_inner", int, None),
        positions="learned",
        norm="layer",
        norm_eps=setting(settings, "layer_norm_epsilon", float, 1e-5),
        mlp=ACTIVATIONS[activation],  # type: ignore[arg-type]
        bias=True,
        tied=setting(settings, "tie_word_embeddings", bool, True),
        qk_norm=False,
        dropout=shares.pop() if len(shares) == 1 else 0.0,
        init_std=setting(settings, "initializer_range", float, 0.02),
        zero_init_projections=False,
    )


def write_settings(config: GPTConfig) -> dict[str, Any]:
    """Return the config.json of GPT-2 for ours."""
    activation = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}[config.mlp]
    return {
        "vocab_size": config.known_vocab_size,
        "n_positions": config.context_length,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_ff,
        "activation_function": activation,
        "layer_norm_epsilon": config.norm_eps,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "initializer_range": config.d_model**-0.5 if config.init_std is None else config.init_std,
        "tie_word_embeddings": config.tied,
    }


def parts_without_place(config: ModelConfig) -> list[str]:
    """Return in words what GPT-2's class cannot hold."""
    if not isinstance(config, GPTConfig):
        return ["rotary positions", "RMSNorm", "SwiGLU"]
    grouped = config.n_kv_heads not in (None, config.n_heads)
    found = {
        f"{config.positions} positions": config.positions != "learned",
        "RMSNorm": config.norm != "layer",
        "norms without gain": not config.norm_gain,
        "a norm after the embedding": config.embedding_norm,
        "no norm before the head": not config.final_norm,
        "ReLU^2": config.mlp == "relu2",
        "SwiGLU": config.mlp == "swiglu",
        "linear layers without bias": not config.bias,
        "grouped key/value heads": grouped,
        "QK-norm": config.qk_norm,
        "n-gram embeddings": bool(config.ngram_sizes),
        "a scale of its own for the scores": config.attention_scale is not None,
    }
    return [part for part, is_there in found.items() if is_there]


def pieces(config: GPTConfig) -> list[Piece]:
    """Return where each of our parameters lies."""
    C = config.d_model
    found = [
        Piece("token_embedding.weight", "transformer.wte.weight"),
        Piece("added_embeddings.positions.weight", "transformer.wpe.weight"),
        Piece("final_norm.weight", "transformer.ln_f.weight"),
        Piece("final_norm.bias", "transformer.ln_f.bias"),
    ]
    for i in range(config.n_layers):
        ours, theirs = f"blocks.{i}", f"transformer.h.{i}"
        for kind in ("weight", "bias"):
            transposed = kind == "weight"
            found += [
                Piece(f"{ours}.attn_norm.{kind}", f"{theirs}.ln_1.{kind}"),
                *(
                    Piece(
                        f"{ours}.attn.{name}_proj.{kind}",
                        f"{theirs}.attn.c_attn.{kind}",
                        slice(j * C, (j + 1) * C),
                        transposed,
                    )
                    for j, name in enumerate("qkv")
                ),
                Piece(f"{ours}.attn.o_proj.{kind}", f"{theirs}.attn.c_proj.{kind}", transposed=transposed),
                Piece(f"{ours}.mlp_norm.{kind}", f"{theirs}.ln_2.{kind}"),
                Piece(f"{ours}.mlp.up_proj.{kind}", f"{theirs}.mlp.c_fc.{kind}", transposed=transposed),
                Piece(f"{ours}.mlp.down_proj.{kind}", f"{theirs}.mlp.c_proj.{kind}", transposed=transposed),
            ]
    if not config.tied:
        found.append(Piece("lm_head.weight", "lm_head.weight"))
    return found


GPT2 = Layout(
    model_type="gpt2",
    architecture="GPT2LMHeadModel",
    prefix="transformer.",
    ignored=re.compile(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)"),
    read_settings=read_settings,
    write_settings=write_settings,
    parts_without_place=parts_without_place,
    pieces=pieces,
)
