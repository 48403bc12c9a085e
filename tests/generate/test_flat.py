from __future__ import annotations

import pytest
import torch
from torch import nn

from cutaway.base.tap import listening
from cutaway.generate import flat
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import Reader, generate
from cutaway.generate.flat import FlatDecoder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig, RotaryScaling
from cutaway.models.decoder import Decoder
from cutaway.nn.quantized import quantize_int8
from cutaway.text.characters import CharacterTokenizer

V, B = 31, 3
WIDE = {"zero_init_projections": False, "init_std": 0.3}
CONFIGS: dict[str, ModelConfig] = {
    "default": GPTConfig(V, 40, 24, 2, 4, **WIDE),
    "grouped": GPTConfig(V, 40, 24, 2, 4, n_kv_heads=2, bias=True, **WIDE),
    "ngrams": GPTConfig(
        V, 40, 24, 2, 4, ngram_sizes=(2, 3), ngram_rows=(61, 97), embedding_norm=True, mlp="swiglu", **WIDE
    ),
    "gpt2": GPTConfig(
        V, 40, 24, 2, 4, positions="learned", norm="layer", mlp="gelu_tanh", bias=True, tied=True,
        qk_norm=False, **WIDE,
    ),
    "other numbers": GPTConfig(
        V, 40, 24, 2, 4, attention_scale=0.9, rotary_base=37.0, norm_eps=0.1, norm="layer", norm_gain=False, d_ff=40, **WIDE
    ),
    "bare": GPTConfig(
        V, 40, 24, 2, 4, positions="none", norm_gain=False, final_norm=False, mlp="gelu", **WIDE
    ),
    "llama": LlamaConfig(
        V, 40, 24, 2, 4, n_kv_heads=2, attention_bias=True,
        rotary_scaling=RotaryScaling(original_context_length=16),
    ),
}  # fmt: skip


def random_tokens(n: int, batch: int = B) -> torch.Tensor:
    return torch.randint(0, V, (batch, n), generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("n_texts", [1, B])
@pytest.mark.parametrize("n_steps", [5, 100])
@torch.inference_mode()
def test_steps_equal_the_model(kind: str, n_texts: int, n_steps: int) -> None:
    model = build(CONFIGS[kind], seed=1, dtype=torch.float64).eval()
    tokens = random_tokens(12, n_texts)
    expected_BTV = model(tokens)
    cache = model.new_cache(n_texts, 12)
    model(tokens[:, :7], cache)
    steps = FlatDecoder(model, cache, n_steps)
    for t in range(7, 12):
        torch.testing.assert_close(steps.step(tokens[:, t : t + 1]), expected_BTV[:, t], atol=1e-9, rtol=0)
    assert cache.length == 12
    assert all(layer.length == 12 for layer in cache.layers)


@pytest.mark.parametrize("kind", ["default", "llama"])
@torch.inference_mode()
def test_half_precision_is_summed_as_the_model_does(kind: str) -> None:
    model = build(CONFIGS[kind], seed=1, dtype=torch.bfloat16).eval()
    tokens, cache = random_tokens(6), model.new_cache(B, 6)
    model(tokens[:, :5], cache)
    step = FlatDecoder(model, cache, 100).step(tokens[:, 5:]).float()
    torch.testing.assert_close(step, model(tokens)[:, -1].float(), atol=0.1, rtol=0.05)


@torch.inference_mode()
def test_large_weights_in_the_kernels_own_order_give_the_same() -> None:
    model = build(GPTConfig(V, 16, 256, 1, 4, **WIDE), seed=1).eval()
    tokens = random_tokens(4)
    cache = model.new_cache(B, 4)
    model(tokens[:, :3], cache)
    torch.testing.assert_close(
        FlatDecoder(model, cache, 100).step(tokens[:, 3:]), model(tokens)[:, -1], atol=1e-4, rtol=0
    )


def test_copies_of_the_weights_are_kept_until_the_weights_change() -> None:
    model = build(CONFIGS["default"], seed=1).eval()

    def fit() -> object:
        return flat._fit(model, 1, 100)

    first = fit()
    assert fit() is first
    with torch.no_grad():
        model.lm_head.weight[3, 4] += 1
    second = fit()
    assert second is not first
    model.lm_head.weight.data.mul_(2)
    assert fit() is not second
    model.train()
    model.lm_head.weight.data.mul_(2)
    assert fit() is not fit()


def test_a_changed_model_writes_a_changed_text() -> None:
    model = build(CONFIGS["default"], seed=1)
    tokenizer, config = CharacterTokenizer([chr(97 + i) for i in range(V)]), SamplingConfig(max_tokens=60)
    model.eval()
    before = generate(model, tokenizer, "abc", config)[0].text
    model.token_embedding.weight.data.copy_(model.token_embedding.weight.flip(0))
    after, uncached = (generate(model, tokenizer, "abc", config, use_cache=c)[0].text for c in (True, False))
    assert before != after == uncached


def reader_of(model: Decoder) -> Reader:
    return Reader(model, [1, 2, 3], 1, 5, use_cache=True)


def test_hooks_and_parts_it_does_not_know_leave_the_step_to_the_model() -> None:
    assert reader_of(build(CONFIGS["default"])).flat is not None
    hooked = build(CONFIGS["default"])
    hooked.blocks[1].register_forward_hook(lambda *_: None)
    assert reader_of(hooked).flat is None

    class Other(Decoder):
        pass

    other = build(CONFIGS["default"])
    other.__class__ = Other
    assert reader_of(other).flat is None


def test_whoever_listens_hears_every_step() -> None:
    heard: list[str] = []
    tokenizer = CharacterTokenizer([chr(97 + i) for i in range(V)])
    with listening(lambda name, value: heard.append(name)):
        generate(build(CONFIGS["default"]), tokenizer, "abc", SamplingConfig(max_tokens=5))
    assert heard.count("pattern_BHTS") == 2 * 5


@pytest.mark.parametrize("kind", ["default", "gpt2", "ngrams"])
@torch.inference_mode()
def test_parts_that_were_replaced_are_called_as_they_are(kind: str) -> None:
    class Doubled(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * self.inner(x)

    model = build(CONFIGS[kind], seed=1, dtype=torch.float64).eval()
    block = model.blocks[0]
    block.attn.q_proj, block.mlp, block.attn_norm = (
        Doubled(part) for part in (block.attn.q_proj, block.mlp, block.attn_norm)
    )
    tokens, cache = random_tokens(6), model.new_cache(B, 6)
    model(tokens[:, :5], cache)
    step = FlatDecoder(model, cache, 100).step(tokens[:, 5:])
    torch.testing.assert_close(step, model(tokens)[:, -1], atol=1e-9, rtol=0)


@torch.inference_mode()
def test_rounded_weights_step_as_the_rounded_model() -> None:
    model = quantize_int8(build(GPTConfig(V, 16, 24, 2, 4, bias=True, **WIDE), seed=1).eval())
    tokens = random_tokens(6, 1)
    cache, again = model.new_cache(1, 6), model.new_cache(1, 6)
    for each in (cache, again):
        model(tokens[:, :5], each)
    step = FlatDecoder(model, cache, 100).step(tokens[:, 5:])
    torch.testing.assert_close(step, model(tokens[:, 5:], again)[:, -1], atol=1e-5, rtol=0)
