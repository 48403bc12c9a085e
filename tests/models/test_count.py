"""Counts by formula against the modules themselves, PyTorch's counter and published sizes."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cutaway.models import presets
from cutaway.models.build import assemble, build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig
from cutaway.models.count import (
    PATTERN_KEPT_UP_TO,
    count_activations,
    count_cache_bytes,
    count_memory,
    count_operations,
    count_parameters,
    count_writing_operations,
)
from cutaway.nn.attention import OPEN_UP_TO

B, T, S, C, H, G, F, V, L = 3, 7, 11, 24, 4, 2, 40, 31, 5
SIZES = {"vocab_size": V, "context_length": S, "d_model": C, "n_layers": L, "n_heads": H, "d_ff": F}
SOME: list[ModelConfig] = [
    GPTConfig(**SIZES),
    GPTConfig(**SIZES, n_kv_heads=G, mlp="swiglu", tied=True, positions="learned", bias=True, norm="layer"),
    GPTConfig(**SIZES, qk_norm=False, mlp="gelu", norm="layer", norm_gain=False, embedding_norm=True),
    LlamaConfig(**SIZES, n_kv_heads=G, d_head=8),
]


@pytest.mark.parametrize(
    ("positions", "norm", "norm_gain"), [*product(["learned", "rotary"], ["layer", "rms"], [True, False])]
)
@pytest.mark.parametrize(("bias", "tied", "n_kv_heads"), [*product([True, False], [True, False], [None, G, 1])])
def test_parameters_of_every_gpt(
    positions: str, norm: str, norm_gain: bool, bias: bool, tied: bool, n_kv_heads: int | None
) -> None:
    for mlp, outer, ngrams in (("relu2", False, ()), ("swiglu", True, (2, 3))):
        config = GPTConfig(
            **SIZES,
            positions=positions,
            norm=norm,
            norm_gain=norm_gain,
            bias=bias,
            tied=tied,  # type: ignore[arg-type]
            n_kv_heads=n_kv_heads,
            mlp=mlp,
            embedding_norm=outer,
            final_norm=not outer,
            ngram_sizes=ngrams,  # type: ignore[arg-type]
            ngram_rows=(97, 89)[: len(ngrams)],
        )
        check_parameters(config)


@pytest.mark.parametrize(("attention_bias", "mlp_bias", "tied"), [*product([True, False], repeat=3)])
def test_parameters_of_every_llama(attention_bias: bool, mlp_bias: bool, tied: bool) -> None:
    for d_head in (None, 8):
        check_parameters(
            LlamaConfig(
                **SIZES,
                n_kv_heads=G,
                d_head=d_head,
                attention_bias=attention_bias,
                mlp_bias=mlp_bias,
                tied=tied,
            )
        )


def check_parameters(config: ModelConfig) -> None:
    sizes = {name: parameter.numel() for name, parameter in assemble(config).named_parameters()}
    count = count_parameters(config)
    assert count.total == sum(sizes.values())
    parts = {"attention": ".attn.", "mlp": ".mlp.", "norms": "norm.", "ngrams": "ngrams", "head": "lm_head"}
    for part, mark in parts.items():
        assert getattr(count, part) == sum(size for name, size in sizes.items() if mark in name), part


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        (presets.gpt2, 124_439_808),
        (presets.gpt2_medium, 354_823_168),
        (presets.gpt2_large, 774_030_080),
        (presets.gpt2_xl, 1_557_611_200),
        (presets.llama3_1b, 1_235_814_400),
        (presets.llama3_3b, 3_212_749_824),
        (presets.llama3_8b, 8_030_261_248),
    ],
)
def test_published_models_have_their_published_sizes(preset: object, published: int) -> None:
    assert count_parameters(preset()).total == published  # type: ignore[operator]


@pytest.mark.parametrize("config", SOME)
def test_operations_equal_pytorchs_count(config: ModelConfig) -> None:
    model, tokens = build(config), torch.randint(V, (B, T))
    with FlopCounterMode(display=False) as forward:
        logits = model(tokens)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    count = count_operations(config, T)
    assert forward.get_total_flops() == B * count.forward
    assert forward.get_total_flops() + backward.get_total_flops() == B * count.training


def test_writing_token_by_token_costs_the_lower_triangle() -> None:
    config = SOME[0]
    written = sum(count_writing_operations(config, position) for position in range(T))
    whole = count_operations(config, T)
    masked = whole.attention_products * (T - 1) // (2 * T)
    assert written == whole.forward - masked


@pytest.mark.parametrize("config", SOME)
def test_bytes_equal_the_tensors(config: ModelConfig) -> None:
    model = build(config)
    cache = model.new_cache(1, S)
    held = [cache.tokens, *(x for layer in cache.layers for x in (layer.keys, layer.values))]
    assert count_cache_bytes(config, S) == sum(x.nbytes for x in held)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randint(V, (B, T))).sum().backward()
    optimizer.step()
    memory = count_memory(config, B, T)
    assert memory.weights == sum(p.nbytes for p in model.parameters())
    assert memory.gradients == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    moments = [x for state in optimizer.state.values() for x in state.values() if x.dim()]
    assert memory.optimizer == sum(x.nbytes for x in moments)
    assert count_memory(config, B, T, "bfloat16").weights * 2 == memory.weights
    assert memory.training == memory.weights + memory.gradients + memory.optimizer + memory.activations


@pytest.mark.parametrize("config", SOME)
@pytest.mark.parametrize("length", [T, S])
def test_activations_are_estimated_within_a_twentieth(config: ModelConfig, length: int) -> None:
    model, tokens = build(config), torch.randint(V, (B, length))
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights and x.is_floating_point():
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        loss = torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
    assert loss.requires_grad
    assert 4 * count_activations(config, B, length) == pytest.approx(sum(kept.values()), rel=0.05)


def test_the_limit_of_open_attention_is_the_models() -> None:
    assert PATTERN_KEPT_UP_TO == OPEN_UP_TO
    long = GPTConfig(**{**SIZES, "context_length": 200})
    assert count_activations(long, 1, 128) - 128 * count_activations(long, 1, 1) == L * H * 128 * 127
    assert count_activations(long, 1, 129) == 129 * (count_activations(long, 1, 1) - L * H)


def test_counting_loads_no_torch() -> None:
    code = "import sys, cutaway.models.count; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
