"""Initial weights: as large as the recipe says, from the seed alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig

CONFIG = GPTConfig(
    vocab_size=101,
    d_model=96,
    n_layers=5,
    n_heads=4,
    init_std=0.1,
    bias=True,
    norm="layer",
    ngram_sizes=(2,),
    ngram_rows=(97,),
    zero_init_projections=False,
)


def test_the_deviations_are_gpt2s() -> None:
    model = build(CONFIG)
    for name, parameter in model.named_parameters():
        std = parameter.std().item()
        if "ngrams" in name or name.endswith("bias"):
            assert parameter.abs().max() == 0, name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        elif "o_proj" in name or "down_proj" in name:
            assert std == pytest.approx(0.1 / 10**0.5, rel=0.1), name
        else:
            assert std == pytest.approx(0.1, rel=0.1), name


def test_each_choice_is_heard() -> None:
    config = dataclasses.replace(
        CONFIG, zero_init_projections=True, zero_init_head=True, embedding_std=0.5, init_std=None
    )
    model = build(config)
    assert model.lm_head.weight.abs().max() == 0
    assert model.token_embedding.weight.std().item() == pytest.approx(0.5, rel=0.1)
    block = model.get_submodule("blocks.3")
    assert block.get_parameter("attn.o_proj.weight").abs().max() == 0
    assert block.get_parameter("mlp.down_proj.weight").abs().max() == 0
    assert block.get_parameter("attn.q_proj.weight").std().item() == pytest.approx(96**-0.5, rel=0.1)


def test_a_tied_head_is_drawn_as_an_embedding() -> None:
    config = dataclasses.replace(CONFIG, tied=True, zero_init_head=True, embedding_std=0.5)
    model = build(config)
    assert model.lm_head.weight is model.token_embedding.weight
    assert model.lm_head.weight.std().item() == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("config", [CONFIG, LlamaConfig(vocab_size=31, d_model=24, n_heads=4)])
def test_the_seed_alone_decides(config: GPTConfig | LlamaConfig) -> None:
    torch.manual_seed(1)
    first = build(config, seed=3).state_dict()
    torch.manual_seed(2)
    second = build(config, seed=torch_generator_of(3)).state_dict()
    other = build(config, seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["token_embedding.weight"], other["token_embedding.weight"])


def torch_generator_of(seed: int) -> torch.Generator:
    from cutaway.base.seed import torch_generator

    return torch_generator(seed, "weights")
