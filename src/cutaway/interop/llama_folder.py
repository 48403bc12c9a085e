"""Llama as `transformers` stores it: the same parts as ours under other names."""

from __future__ import annotations

import re
from typing import Any

from cutaway.base.errors import ModelFormatError
from cutaway.interop.layout import Layout, Piece, Settings, refuse, setting
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig, RotaryScaling


def read_settings(settings: Settings) -> LlamaConfig:
    """Return our config for a Llama config.json, of transformers 4 or 5."""
    refuse(settings, "hidden_act", "another gate than SiLU", "silu")
    refuse(settings, "sliding_window", "attention to the nearest positions only")
    base, scaling = read_rotary(settings)
    return LlamaConfig(
        vocab_size=setting(settings, "vocab_size", int, 32000),
        context_length=setting(settings, "max_position_embeddings", int, 2048),
        d_model=setting(settings, "hidden_size", int, 4096),
        n_layers=setting(settings, "num_hidden_layers", int, 32),
        n_heads=setting(settings, "num_attention_heads", int, 32),
        n_kv_heads=setting(settings, "num_key_value_heads", int, None),
        d_head=setting(settings, "head_dim", int, None),
        d_ff=setting(settings, "intermediate_size", int, 11008),
        rotary_base=base,
        rotary_scaling=scaling,
        norm_eps=setting(settings, "rms_norm_eps", float, 1e-6),
        attention_bias=setting(settings, "attention_bias", bool, False),
        mlp_bias=setting(settings, "mlp_bias", bool, False),
        tied=setting(settings, "tie_word_embeddings", bool, False),
        dropout=setting(settings, "attention_dropout", float, 0.0),
        init_std=setting(settings, "initializer_range", float, 0.02),
    )


def read_rotary(settings: Settings) -> tuple[float, RotaryScaling | None]:
    """Return base and scaling; transformers 5 keeps both in `rope_parameters`, 4 in two entries."""
    rotary = setting(settings, "rope_parameters", dict, None) or setting(settings, "rope_scaling", dict, {})
    base = setting(rotary, "rope_theta", float, setting(settings, "rope_theta", float, 10000.0))
    for entries in (rotary, settings):
        refuse(entries, "partial_rotary_factor", "only some channels turned", 1, 1.0)
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    if kind == "default":
        return base, None
    if kind != "llama3":
        raise ModelFormatError(f"rotary scaling {kind!r} in config.json is not supported; 'default' and 'llama3' are")
    old_context = setting(settings, "max_position_embeddings", int, 2048)
    return base, RotaryScaling(
        factor=setting(rotary, "factor", float),
        low_freq_factor=setting(rotary, "low_freq_factor", float),
        high_freq_factor=setting(rotary, "high_freq_factor", float),
        original_context_length=setting(rotary, "original_max_position_embeddings", int, old_context),
    )


def write_settings(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json of Llama for ours, or for a GPT whose parts are all a Llama's."""
    is_llama = isinstance(config, LlamaConfig)
    settings = {
        "vocab_size": config.known_vocab_size,
        "max_position_embeddings": config.context_length,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads or config.n_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.mlp_width,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "attention_bias": config.attention_bias if isinstance(config, LlamaConfig) else config.bias,
        "mlp_bias": config.mlp_bias if isinstance(config, LlamaConfig) else config.bias,
        "attention_dropout": config.dropout if is_llama else 0.0,
        "initializer_range": config.d_model**-0.5 if config.init_std is None else config.init_std,
        "tie_word_embeddings": config.tied,
        "rope_theta": config.rotary_base,
    }
    if (scaling := config.rotary_scaling) is not None:
        settings["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_context_length,
        }
    return settings


def parts_without_place(config: ModelConfig) -> list[str]:
    """Return in words what Llama's class cannot hold."""
    found = {"heads that do not divide d_model": config.d_model % config.n_heads != 0}
    if isinstance(config, GPTConfig):
        found |= {
            f"{config.positions} positions": config.positions != "rotary",
            "LayerNorm": config.norm != "rms",
            "norms without gain": not config.norm_gain,
            "a norm after the embedding": config.embedding_norm,
            "no norm before the head": not config.final_norm,
            f"an MLP with {config.mlp} in place of SwiGLU": config.mlp != "swiglu",
            "QK-norm": config.qk_norm,
            "n-gram embeddings": bool(config.ngram_sizes),
            "a scale of its own for the scores": config.attention_scale is not None,
            "dropout in the residual stream": config.dropout > 0,
        }
    return [part for part, is_there in found.items() if is_there]


def pieces(config: ModelConfig) -> list[Piece]:
    """Return where each of our parameters lies."""
    found = [
        Piece("token_embedding.weight", "model.embed_tokens.weight"),
        Piece("final_norm.weight", "model.norm.weight"),
    ]
    attention_bias = config.attention_bias if isinstance(config, LlamaConfig) else config.bias
    mlp_bias = config.mlp_bias if isinstance(config, LlamaConfig) else config.bias
    for i in range(config.n_layers):
        ours, theirs = f"blocks.{i}", f"model.layers.{i}"
        found += [
            Piece(f"{ours}.attn_norm.weight", f"{theirs}.input_layernorm.weight"),
            Piece(f"{ours}.mlp_norm.weight", f"{theirs}.post_attention_layernorm.weight"),
        ]
        for kinds, part, their_part, names in (
            (("weight", "bias") if attention_bias else ("weight",), "attn", "self_attn", "qkvo"),
            (("weight", "bias") if mlp_bias else ("weight",), "mlp", "mlp", ("gate", "up", "down")),
        ):
            found += [
                Piece(f"{ours}.{part}.{name}_proj.{kind}", f"{theirs}.{their_part}.{name}_proj.{kind}")
                for name in names
                for kind in kinds
            ]
    if not config.tied:
        found.append(Piece("lm_head.weight", "lm_head.weight"))
    return found


LLAMA = Layout(
    model_type="llama",
    architecture="LlamaForCausalLM",
    prefix="model.",
    ignored=re.compile(r"(model\.)?(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq"),
    read_settings=read_settings,
    write_settings=write_settings,
    parts_without_place=parts_without_place,
    pieces=pieces,
)
