"""Small random models as a lab finds them: folders of Hugging Face layout, and a run with checkpoints."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig
from cutaway.text.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer(["\n", " ", *"abcdefghijklmnopqrstuvwxyzABCDE.,"])
V = TOKENIZER.vocab_size
KINDS: dict[str, ModelConfig] = {
    "ours": GPTConfig(
        V, 48, 24, 2, 4, ngram_sizes=(2,), ngram_rows=(61,), embedding_norm=True, zero_init_projections=False, init_std=0.3
    ),
    "gpt2": GPTConfig(
        V, 48, 24, 2, 4, positions="learned", norm="layer", mlp="gelu_tanh", bias=True, tied=True,
        qk_norm=False, zero_init_projections=False, init_std=0.3,
    ),
    "llama": LlamaConfig(V, 48, 24, 2, 4, n_kv_heads=2, init_std=0.3),
}  # fmt: skip


def save_model(
    path: Path, kind: str = "ours", seed: int = 1, dtype: torch.dtype = torch.float32, **changes: int
) -> Path:
    """Write a random model of a kind into a folder; return it."""
    config = dataclasses.replace(KINDS[kind], **changes)  # type: ignore[arg-type]
    save_folder(path, build(config, seed=seed, dtype=dtype), TOKENIZER)
    return path
