"""Laws of every decoder, whatever its parts: causality, cache equals no cache, taps, refusals."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from cutaway.base.errors import ConfigError, UsageError
from cutaway.base.tap import listening
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig, RotaryScaling
from cutaway.models.decoder import Decoder
from cutaway.models.presets import microgpt

B, T, S, C, H, G, F, V, L = 3, 7, 11, 24, 4, 2, 40, 31, 5
SIZES = {"vocab_size": V, "context_length": S, "d_model": C, "n_layers": L, "n_heads": H}
GPT = GPTConfig(**SIZES, d_ff=F, zero_init_projections=False, init_std=0.3)
LLAMA = LlamaConfig(**SIZES, d_ff=F, n_kv_heads=G, init_std=0.3)


def gpt(**changes: object) -> GPTConfig:
    return dataclasses.replace(GPT, **changes)  # type: ignore[arg-type]


EVERY_OPTION: dict[str, ModelConfig] = {
    "ours": GPT,
    "learned": gpt(positions="learned", norm="layer", bias=True, mlp="gelu_tanh", tied=True, qk_norm=False),
    "none": gpt(positions="none", mlp="gelu", embedding_norm=True),
    "stretched": gpt(rotary_scaling=RotaryScaling(original_context_length=4), mlp="relu"),
    "grouped": gpt(n_kv_heads=G, mlp="swiglu", final_norm=False),
    "one key head": gpt(n_kv_heads=1, norm_gain=False, norm="layer", attention_scale=0.12),
    "n-grams": gpt(ngram_sizes=(2, 3, 4), ngram_rows=(1024, 97, 89), norm_gain=False),
    "llama": LLAMA,
    "llama 3": dataclasses.replace(LLAMA, d_head=8, tied=True, rotary_scaling=RotaryScaling(original_context_length=4)),
    "llama, biased": dataclasses.replace(LLAMA, attention_bias=True, mlp_bias=True, n_kv_heads=None),
}


@pytest.fixture(params=EVERY_OPTION, name="model")
def _model(request: pytest.FixtureRequest) -> Decoder:
    model = build(EVERY_OPTION[request.param], dtype=torch.float64)
    for name, parameter in model.named_parameters():
        if "ngrams" in name or "bias" in name:
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    return model


def tokens(length: int = S, seed: int = 0) -> Tensor:
    return torch.randint(V, (B, length), generator=torch.Generator().manual_seed(seed))


def test_the_future_does_not_leak(model: Decoder) -> None:
    text = tokens()
    changed = text.clone()
    changed[:, T:] = (changed[:, T:] + 1) % V
    before, after = model(text), model(changed)
    assert before.shape == (B, S, V)
    assert torch.equal(before[:, :T], after[:, :T])
    assert (before[:, T] != after[:, T]).any()


def test_the_cache_changes_no_number(model: Decoder) -> None:
    text = tokens()
    cache = model.new_cache(B, S)
    with torch.no_grad():
        at_once = model(text)
        pieces = [model(text[:, part], cache) for part in (slice(0, 4), slice(4, T), slice(T, T + 1))]
        pieces += [model(text[:, t : t + 1], cache) for t in range(T + 1, S)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), at_once, rtol=1e-10, atol=1e-10)
        cache.shorten(2)
        torch.testing.assert_close(model(text[:, 2:5], cache), at_once[:, 2:5], rtol=1e-10, atol=1e-10)


def test_listening_changes_no_number_and_a_replaced_value_flows_on(model: Decoder) -> None:
    text, heard = tokens(), []
    with torch.no_grad():
        silent = model(text)
        with listening(lambda name, value: heard.append(name)):
            torch.testing.assert_close(model(text), silent, rtol=1e-10, atol=1e-10)
        with listening(lambda name, value: value * 0 if name == "resid_post_BTC" else None):
            flat = model(text)
    assert heard[0] == "embed_BTC"
    assert heard[-2:] == ["final_norm_BTC", "logits_BTV"]
    for name in (
        "resid_pre_BTC",
        "pattern_BHTS",
        "attn_out_BTC",
        "resid_mid_BTC",
        "mlp_out_BTC",
        "resid_post_BTC",
    ):
        assert heard.count(name) == L
    torch.testing.assert_close(flat, flat[:1, :1].expand(B, S, V), rtol=1e-12, atol=1e-12)


def test_every_parameter_gets_a_gradient(model: Decoder) -> None:
    text = tokens()
    model(text).logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert {name for name, p in model.named_parameters() if p.grad.abs().max() == 0} <= {
        f"blocks.{i}.attn.k_proj.bias" for i in range(L)
    }


def test_hidden_is_what_the_head_reads(model: Decoder) -> None:
    assert torch.equal(model.lm_head(model.hidden(tokens())), model(tokens()))


def test_dropout_acts_in_training_only() -> None:
    quiet, noisy = build(GPT), build(gpt(dropout=0.3))
    assert torch.equal(noisy.eval()(tokens()), quiet(tokens()))
    noisy.train()
    assert not torch.equal(noisy(tokens()), noisy(tokens()))


def test_blocks_start_as_the_identity_when_projections_start_at_zero() -> None:
    model = build(gpt(zero_init_projections=True))
    heard: dict[str, Tensor] = {}
    with listening(lambda name, value: heard.update({name: value})):
        model(tokens())
    assert torch.equal(heard["resid_post_BTC"], heard["embed_BTC"])


def test_bfloat16_weights_stay_bfloat16_throughout() -> None:
    model = build(EVERY_OPTION["n-grams"], dtype=torch.bfloat16)
    model.get_submodule("added_embeddings.ngrams_2").float()
    kinds: dict[str, torch.dtype] = {}
    with listening(lambda name, value: kinds.update({name: value.dtype})):
        model(tokens())
    assert set(kinds.values()) == {torch.bfloat16}


def test_microgpt_has_its_published_size() -> None:
    model = build(dataclasses.replace(microgpt(), vocab_size=27))
    assert sum(parameter.numel() for parameter in model.parameters()) == 4192


def test_too_many_positions_are_refused() -> None:
    with pytest.raises(UsageError, match="12 positions are more than the model's context of 11"):
        build(GPT)(tokens(S + 1))


def test_a_model_without_vocabulary_is_refused() -> None:
    with pytest.raises(ConfigError, match="vocab_size is not set"):
        build(gpt(vocab_size=None))
