"""One parameter of a folder is what the whole model has there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cutaway.base.errors import UsageError
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.interop.one_parameter import read_parameter
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig

SHAPES: list[ModelConfig] = [
    GPTConfig(vocab_size=31, d_model=24, n_layers=2, n_heads=4, positions="learned", norm="layer", mlp="gelu_tanh",
              bias=True, tied=True, qk_norm=False),
    LlamaConfig(vocab_size=31, d_model=24, n_layers=2, n_heads=4, n_kv_heads=2),
    GPTConfig(vocab_size=31, d_model=24, n_layers=2, n_heads=4),
]  # fmt: skip


@pytest.mark.parametrize("config", SHAPES, ids=["gpt2", "llama", "ours"])
def test_every_parameter(config: ModelConfig, tmp_path: Path) -> None:
    save_folder(tmp_path / "m", build(config, seed=0))
    model, _ = load_folder(tmp_path / "m")
    for name, parameter in model.named_parameters():
        assert torch.equal(read_parameter(tmp_path / "m", name), parameter), name
    with pytest.raises(UsageError, match=r"did you mean blocks\.1\.attn\.q_proj\.weight"):
        read_parameter(tmp_path / "m", "blocks.1.attn.qproj.weight")
