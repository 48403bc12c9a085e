"""LoRA: equal to peft's, and what must hold of it whatever the model."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear as TheirLinear
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from cutaway.base.errors import ConfigError, CutawayError, NonFiniteError, UsageError
from cutaway.generate.flat import FlatDecoder
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig
from cutaway.models.decoder import Decoder
from cutaway.models.presets import plain
from cutaway.tune.lora import (
    Adapter,
    LoRAConfig,
    LoRALinear,
    adapter_parameters,
    add_lora,
    bake,
    load_adapter,
    lora_layers,
    merge,
    remove_lora,
    save_adapter,
    unmerge,
)

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # theirs
B, T, S, C, H, G, F, V, L, R = 3, 7, 11, 24, 4, 2, 40, 31, 5, 3
GPT2 = plain(S, C, L, H)
CONFIGS: dict[str, ModelConfig] = {
    "gpt2": GPTConfig(**{**vars(GPT2), "vocab_size": V, "d_ff": F}),
    "llama": LlamaConfig(V, S, C, L, H, G, d_ff=F),
    "cutaway": GPTConfig(V, S, C, L, H, ngram_sizes=(2,), ngram_rows=(97,)),
}
TARGETS = {"gpt2": ["c_attn", "c_proj", "c_fc"], "llama": "all-linear"}


def tokens() -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(0))


def model_of(kind: str, dtype: torch.dtype = torch.float32) -> Decoder:
    return build(CONFIGS[kind], dtype=dtype).eval()


@torch.no_grad()
def shake(parameters: list[nn.Parameter]) -> None:
    """Move away from the start, where B is zero."""
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters:
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


def tuned(kind: str, dtype: torch.dtype = torch.float32, **settings: object) -> Decoder:
    model = add_lora(model_of(kind, dtype), LoRAConfig(rank=R, alpha=8, **settings))  # type: ignore[arg-type]
    shake(list(adapter_parameters(model).values()))
    return model


def pair(kind: str, dtype: torch.dtype, folder: Path, dropout: float = 0.0) -> tuple[Decoder, PeftModel]:
    """Return the same model with the same adapter of theirs, in both libraries."""
    save_folder(folder / "base", model_of(kind, dtype))
    torch.manual_seed(0)  # their adapters start at random
    theirs = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=dtype)
    config = LoraConfig(
        r=R, lora_alpha=8, target_modules=TARGETS[kind], lora_dropout=dropout, fan_in_fan_out=kind == "gpt2"
    )
    theirs = get_peft_model(theirs, config).eval()
    shake([p for p in theirs.parameters() if p.requires_grad])
    theirs.save_pretrained(folder / "adapter")
    return load_adapter(folder / "adapter", load_folder(folder / "base")[0]), theirs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_outputs_gradients_and_merged_weights_are_those_of_peft(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    ours, theirs = pair(kind, dtype, tmp_path)
    expected, found = theirs(tokens()).logits, ours(tokens())
    assert (expected - load_folder(tmp_path / "base")[0](tokens())).abs().max() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)

    expected.logsumexp(-1).sum().backward()
    found.logsumexp(-1).sum().backward()
    named = dict(theirs.named_parameters())
    middle = {
        "gpt2": ("attn.q_proj", "base_model.model.transformer.h.2.attn.c_attn"),
        "llama": ("attn.k_proj", "base_model.model.model.layers.2.self_attn.k_proj"),
    }
    our_name, their_name = middle[kind]
    adapter = ours.get_submodule(f"blocks.2.{our_name}").adapter
    A = named[f"{their_name}.lora_A.default.weight"].grad
    assert A.abs().max() > 1e-3
    torch.testing.assert_close(adapter.A.grad, A, rtol=1e-6, atol=1e-6)
    B_grad = named[f"{their_name}.lora_B.default.weight"].grad
    if kind == "gpt2":
        blocks = [ours.get_submodule(f"blocks.2.attn.{name}_proj").adapter for name in "qkv"]
        torch.testing.assert_close(torch.cat([x.B.grad for x in blocks]), B_grad, rtol=1e-6, atol=1e-6)
        assert blocks[0].A is blocks[1].A
    else:
        torch.testing.assert_close(adapter.B.grad, B_grad, rtol=1e-6, atol=1e-6)
    assert {p.grad is None for p in ours.parameters() if not p.requires_grad} == {True}
    n_theirs = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert sum(p.numel() for p in adapter_parameters(ours).values()) == n_theirs

    merged = theirs.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    baked = dict(bake(ours).named_parameters())
    for name, weight in load_folder(tmp_path / "merged")[0].named_parameters():
        torch.testing.assert_close(baked[name], weight, rtol=1e-6, atol=1e-6)


def test_dropout_is_theirs_from_the_same_seed(tmp_path: Path) -> None:
    ours, theirs = pair("llama", torch.float32, tmp_path, dropout=0.3)
    ours.train()
    theirs.train()
    torch.manual_seed(5)
    expected = theirs(tokens()).logits
    torch.manual_seed(5)
    torch.testing.assert_close(ours(tokens()), expected, rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        assert (ours(tokens()) - ours.eval()(tokens())).abs().max() > 1e-3


def test_one_layer_in_bfloat16_is_theirs_bit_for_bit_and_merges_closer() -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(C, F).bfloat16(), torch.randn(B, T, C).bfloat16()
    theirs = TheirLinear(copy.deepcopy(linear), "default", LoraConfig(r=R, lora_alpha=8), r=R, lora_alpha=8)
    A, B_ = nn.Parameter(torch.randn(R, C)), nn.Parameter(torch.randn(F, R))
    theirs.lora_A["default"].weight, theirs.lora_B["default"].weight = A, B_
    ours = LoRALinear(linear, Adapter(A, B_, 8 / R, 0.0))
    assert ours(x).dtype is torch.bfloat16
    assert torch.equal(ours(x), theirs(x))
    exact = linear.weight.double() + (B_.double() @ A.double()) * (8 / R)
    model = model_of("llama")
    model.blocks[0].attn.q_proj = ours
    merge(model)
    theirs.merge()
    assert (ours.weight - exact).abs().mean() <= (theirs.get_base_layer().weight - exact).abs().mean()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@torch.no_grad()
def test_a_whole_model_in_bfloat16_is_as_near_the_exact_one_as_theirs(kind: str, tmp_path: Path) -> None:
    ours, theirs = pair(kind, torch.bfloat16, tmp_path)
    assert {p.dtype for p in adapter_parameters(ours).values()} == {torch.float32}
    expected, found = theirs(tokens()).logits, ours(tokens())
    assert found.dtype is torch.bfloat16
    exact = copy.deepcopy(ours).double()(tokens())
    assert (found - exact).abs().mean() < 1.2 * (expected - exact).abs().mean()


# ---- laws ----

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
KINDS = pytest.mark.parametrize("kind", CONFIGS)


@KINDS
@DTYPES
def test_at_first_the_model_is_what_it_was_and_removing_gives_it_back(kind: str, dtype: torch.dtype) -> None:
    model = model_of(kind, dtype)
    expected, names, modules = model(tokens()), dict(model.named_parameters()), dict(model.named_modules())
    add_lora(model, LoRAConfig(dropout=0.1))
    assert torch.equal(model(tokens()), expected)
    shake(list(adapter_parameters(model).values()))
    assert not torch.equal(model(tokens()), expected)
    remove_lora(model)
    assert torch.equal(model(tokens()), expected)
    assert dict(model.named_modules()) == modules
    again = dict(model.named_parameters())
    assert list(again) == list(names)
    assert all(again[name] is names[name] and again[name].requires_grad for name in names)
    assert not list(lora_layers(model))


@KINDS
@DTYPES
def test_merging_changes_no_output_and_unmerging_gives_every_bit_back(kind: str, dtype: torch.dtype) -> None:
    model = tuned(kind, dtype)
    weights = {name: p.clone() for name, p in model.named_parameters()}
    expected = model(tokens())
    merge(model)
    merge(model)  # once is enough
    limit = 1e-5 if dtype is torch.float32 else 0.05
    assert (model(tokens()) - expected).abs().mean() < limit * expected.abs().mean()
    assert any(not torch.equal(p, weights[name]) for name, p in model.named_parameters())
    unmerge(model)
    unmerge(model)
    assert all(torch.equal(p, weights[name]) for name, p in model.named_parameters())
    assert torch.equal(model(tokens()), expected)


@KINDS
@DTYPES
def test_only_adapters_learn(kind: str, dtype: torch.dtype) -> None:
    model = tuned(kind, dtype).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(tokens()).flatten(0, 1).float(), tokens().flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1
    learning = adapter_parameters(model)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) is (name not in learning), name


@KINDS
def test_a_seed_repeats_and_another_does_not(kind: str) -> None:
    first, same, other = (adapter_parameters(add_lora(model_of(kind), seed=seed)) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_projections_are_chosen_by_name_all_by_default() -> None:
    every = {name.rpartition(".")[2] for name, _ in lora_layers(tuned("llama"))}
    assert every == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    some = [name for name, _ in lora_layers(tuned("gpt2", projections=("v_proj", "down_proj")))]
    assert some[:2] == ["blocks.0.attn.v_proj", "blocks.0.mlp.down_proj"]
    assert len(some) == 2 * L


@KINDS
@torch.no_grad()
def test_writing_text_follows_every_change(kind: str) -> None:
    model = model_of(kind)
    seen: list[Tensor] = []

    def last_logits() -> Tensor:
        """Return what the writer's own copies of the weights give, after checking it with the model."""
        cache = model.new_cache(B, T)
        model(tokens()[:, :-1], cache)
        found = FlatDecoder(model, cache, n_steps=100).step(tokens()[:, -1:])
        torch.testing.assert_close(found, model(tokens())[:, -1], rtol=1e-4, atol=1e-5)
        return found

    def different() -> bool:
        seen.append(last_logits())
        return len(seen) < 2 or (seen[-1] - seen[-2]).abs().max() > 1e-3

    different()
    add_lora(model, LoRAConfig(rank=R))
    shake(list(adapter_parameters(model).values()))
    assert different()
    remove_lora(model)
    assert different()
    assert torch.equal(seen[0], seen[2])
    add_lora(model, LoRAConfig(rank=R))
    shake(list(adapter_parameters(model).values()))
    assert different()
    merge(model)
    assert not different()
    unmerge(model)
    assert not different()
    bake(model)
    assert not different()


@KINDS
def test_a_baked_model_is_saved_and_one_with_adapters_is_refused(kind: str, tmp_path: Path) -> None:
    model = tuned(kind)
    expected = model(tokens())
    with pytest.raises(UsageError, match=r"no place for blocks\.0\.attn\.k_proj\.adapter\.A.*\(bake\) before saving"):
        save_folder(tmp_path / "m", model)
    assert not (tmp_path / "m").exists()
    save_folder(tmp_path / "m", bake(model))
    torch.testing.assert_close(load_folder(tmp_path / "m")[0](tokens()), expected, rtol=1e-4, atol=1e-5)


# ---- what is refused ----


def refused(action: object, kind: type[CutawayError], message: str) -> None:
    with pytest.raises(kind) as caught:
        action()  # type: ignore[operator]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_cannot_work_are_refused(tmp_path: Path) -> None:
    refused(lambda: LoRAConfig(rank=0), ConfigError, "lora.rank is 0")
    refused(lambda: LoRAConfig(alpha=float("nan")), ConfigError, "lora.alpha is nan")
    refused(lambda: LoRAConfig(dropout=1.0), ConfigError, "lora.dropout is 1.0")
    refused(
        lambda: add_lora(model_of("gpt2"), LoRAConfig(projections=("q_porj",))),
        UsageError,
        "no projection 'q_porj' (did you mean q_proj",
    )
    there = "expected some of q_proj, k_proj, v_proj, o_proj, up_proj, down_proj"
    refused(lambda: add_lora(model_of("gpt2"), LoRAConfig(projections=("gate_proj",))), UsageError, there)
    refused(lambda: add_lora(tuned("gpt2")), UsageError, "has adapters already")
    refused(lambda: save_adapter(tmp_path / "a", model_of("gpt2")), UsageError, "no adapters to save")


def test_a_correction_that_is_not_finite_is_not_merged() -> None:
    model = tuned("llama")
    weights = {name: p.clone() for name, p in model.named_parameters()}
    broken = model.get_submodule("blocks.3.mlp.up_proj").adapter.B
    with torch.no_grad():
        broken[0, 0] = float("nan")
    refused(lambda: merge(model), NonFiniteError, "the adapter of blocks.3.mlp.up_proj")
    assert all(torch.equal(p, weights[name]) for name, p in model.named_parameters() if p is not broken)
