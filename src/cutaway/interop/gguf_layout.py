"""How our models lie in a GGUF file: tensor names and settings, as llama.cpp reads them.

llama.cpp turns neighbouring channels of queries and keys where Llama's published checkpoints, and we, turn channel i with
channel i + D/2: the rows of W_q and W_k are put in that order (`interleaved`) and back (`halves`). GPT-2 has query, key and
value in one matrix with outputs as rows. Llama 3's stretched wavelengths are one factor for each pair, `rope_freqs`.

What llama.cpp computes for these two kinds of model is fixed in its code, so a part it does not have cannot be said at all
(`gguf_kinds.py`). Names and settings: llama.cpp, gguf-py/gguf/constants.py and conversion/{llama,gpt2}.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.base.errors import ModelFormatError
from cutaway.interop.gguf_kinds import architecture
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig
from cutaway.nn.position import rotary_frequencies, stretch

ROPE_FREQS = "rope_freqs.weight"


@dataclass(frozen=True)
class Place:
    """One tensor of the file: which of our parameters it holds, one above the other."""

    name: str
    ours: tuple[str, ...]
    n_heads: int | None = None
    """Of how many heads the rows are interleaved; None: as they are."""


def places(config: ModelConfig) -> list[Place]:
    """Return what the file holds, in its order."""
    kind = architecture(config)
    names = {f"blocks.{i}.": f"blk.{i}." for i in range(config.n_layers)}
    found = [Place("token_embd.weight", ("token_embedding.weight",))]
    if kind == "gpt2":
        found += [
            Place("position_embd.weight", ("added_embeddings.positions.weight",)),
            *_pair("output_norm", "final_norm"),
        ]
        for ours, theirs in names.items():
            found += [
                *_pair(f"{theirs}attn_norm", f"{ours}attn_norm"),
                *(
                    Place(f"{theirs}attn_qkv.{kind}", tuple(f"{ours}attn.{part}_proj.{kind}" for part in "qkv"))
                    for kind in ("weight", "bias")
                ),
                *_pair(f"{theirs}attn_output", f"{ours}attn.o_proj"),
                *_pair(f"{theirs}ffn_norm", f"{ours}mlp_norm"),
                *_pair(f"{theirs}ffn_up", f"{ours}mlp.up_proj"),
                *_pair(f"{theirs}ffn_down", f"{ours}mlp.down_proj"),
            ]
    else:
        attention_bias = config.attention_bias if isinstance(config, LlamaConfig) else config.bias
        mlp_bias = config.mlp_bias if isinstance(config, LlamaConfig) else config.bias
        heads = {"q": config.n_heads, "k": config.n_kv_heads or config.n_heads, "v": None, "output": None}
        found.append(Place("output_norm.weight", ("final_norm.weight",)))
        for ours, theirs in names.items():
            found += [
                Place(f"{theirs}attn_norm.weight", (f"{ours}attn_norm.weight",)),
                Place(f"{theirs}ffn_norm.weight", (f"{ours}mlp_norm.weight",)),
            ]
            for kind in ("weight", "bias"):
                if kind == "weight" or attention_bias:
                    found += [
                        Place(f"{theirs}attn_{part}.{kind}", (f"{ours}attn.{part[0]}_proj.{kind}",), n)
                        for part, n in heads.items()
                    ]
                if kind == "weight" or mlp_bias:
                    found += [
                        Place(f"{theirs}ffn_{part}.{kind}", (f"{ours}mlp.{part}_proj.{kind}",))
                        for part in ("gate", "up", "down")
                    ]
    if not config.tied:
        found.append(Place("output.weight", ("lm_head.weight",)))
    return found


def _pair(theirs: str, ours: str) -> list[Place]:
    return [Place(f"{theirs}.{kind}", (f"{ours}.{kind}",)) for kind in ("weight", "bias")]


def interleaved(rows: Float[Tensor, N * C], n_heads: int) -> Float[Tensor, N * C]:
    """Return each head's rows with row i beside row i + D/2."""
    return rows.reshape(n_heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def halves(rows: Float[Tensor, N * C], n_heads: int) -> Float[Tensor, N * C]:
    """Undo `interleaved`."""
    return rows.reshape(n_heads, -1, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def wavelength_factors(config: ModelConfig) -> Float[Tensor, " N"] | None:
    """Return by how much each pair of channels turns slower than unstretched, or None."""
    if config.rotary_scaling is None or architecture(config) != "llama":
        return None
    plain = rotary_frequencies(config.head_width, config.rotary_base)
    return plain / stretch(plain, config.rotary_scaling)


def settings(config: ModelConfig) -> dict[str, Any]:
    """Return the settings of the model, whole numbers as int and others as float, under llama.cpp's keys."""
    kind = architecture(config)
    found: dict[str, Any] = {
        "block_count": config.n_layers,
        "context_length": config.context_length,
        "embedding_length": config.d_model,
        "feed_forward_length": config.mlp_width,
        "attention.head_count": config.n_heads,
    }
    if kind == "gpt2":
        found["attention.layer_norm_epsilon"] = float(config.norm_eps)
    else:
        found |= {
            "attention.head_count_kv": config.n_kv_heads or config.n_heads,
            "attention.layer_norm_rms_epsilon": float(config.norm_eps),
            "attention.key_length": config.head_width,
            "attention.value_length": config.head_width,
            "rope.dimension_count": config.head_width,
            "rope.freq_base": float(config.rotary_base),
            "vocab_size": config.known_vocab_size,
        }
    return {f"{kind}.{key}": value for key, value in found.items()}


def read_config(values: Mapping[str, Any], names: set[str], vocab_size: int) -> ModelConfig:
    """Return the config of a file with these settings and tensors; `rope_freqs` is not in it.

    Raises:
        ModelFormatError: it is another kind of model, or a setting is missing.
    """
    kind = values.get("general.architecture")
    if kind not in ("llama", "gpt2"):
        raise ModelFormatError(f"the GGUF file holds a model of kind {kind!r}; expected 'llama' or 'gpt2'")
    try:
        n_heads = values[f"{kind}.attention.head_count"]
        shared = {
            "vocab_size": vocab_size,
            "context_length": values[f"{kind}.context_length"],
            "d_model": values[f"{kind}.embedding_length"],
            "n_layers": values[f"{kind}.block_count"],
            "n_heads": n_heads,
            "d_ff": values[f"{kind}.feed_forward_length"],
            "tied": "output.weight" not in names,
        }
        if kind == "gpt2":
            return GPTConfig(
                **shared,
                positions="learned",
                norm="layer",
                norm_eps=shortest(values["gpt2.attention.layer_norm_epsilon"]),
                mlp="gelu_tanh",
                bias=True,
                qk_norm=False,
                zero_init_projections=False,
            )
        return LlamaConfig(
            **shared,
            n_kv_heads=values.get("llama.attention.head_count_kv", n_heads),
            d_head=values.get("llama.attention.key_length"),
            rotary_base=shortest(values.get("llama.rope.freq_base", 10000.0)),
            norm_eps=shortest(values["llama.attention.layer_norm_rms_epsilon"]),
            attention_bias="blk.0.attn_q.bias" in names,
            mlp_bias="blk.0.ffn_up.bias" in names,
        )
    except KeyError as error:
        raise ModelFormatError(f"the GGUF file has no setting {error.args[0]!r}") from error


def shortest(value: float) -> float:
    """Return a number of 32 bits as it was written: 1e-05, not 9.99999974e-06."""
    return float(str(np.float32(value)))


def stretched_tables(factors: Float[Tensor, " N"], base: float, length: int) -> tuple[Tensor, Tensor]:
    """Return cosines and signed sines of a rotary table whose pairs are slowed by these factors."""
    frequencies = rotary_frequencies(2 * len(factors), base) / factors
    angles = torch.arange(length, dtype=torch.float32)[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)
