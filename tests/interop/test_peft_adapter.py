"""Adapters of peft, both ways: equal outputs, equal numbers after a round trip, one clear line for the rest."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM

from cutaway.base.errors import CutawayError, ModelFormatError, UsageError
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.interop.peft_adapter import Factors, write_adapter
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig
from cutaway.models.decoder import Decoder
from cutaway.models.presets import plain
from cutaway.tune.lora import LoRAConfig, adapter_parameters, add_lora, load_adapter, lora_layers, save_adapter

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # theirs
B, T, S, C, H, G, F, V, L, R = 3, 7, 11, 24, 4, 2, 40, 31, 5, 3
GPT2 = plain(S, C, L, H)
CONFIGS: dict[str, ModelConfig] = {
    "gpt2": GPTConfig(**{**vars(GPT2), "vocab_size": V, "d_ff": F}),
    "llama": LlamaConfig(V, S, C, L, H, G, d_ff=F),
    "cutaway": GPTConfig(V, S, C, L, H, ngram_sizes=(2,), ngram_rows=(97,)),
}


def tokens() -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def shake(parameters: list[nn.Parameter]) -> None:
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters:
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


def tuned(kind: str, **settings: object) -> Decoder:
    model = add_lora(build(CONFIGS[kind]).eval(), LoRAConfig(rank=R, alpha=8, **settings))  # type: ignore[arg-type]
    shake(list(adapter_parameters(model).values()))
    return model


def base(kind: str, folder: Path) -> Path:
    save_folder(folder / "base", build(CONFIGS[kind]))
    return folder / "base"


def theirs(folder: Path, adapter: Path) -> PeftModel:
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), adapter).eval()


# ---- ours in theirs ----


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("gpt2", {}),
        ("gpt2", {"projections": ("q_proj", "v_proj")}),
        ("gpt2", {"projections": ("k_proj",)}),
        ("gpt2", {"projections": ("o_proj",)}),
        ("gpt2", {"projections": ("down_proj", "v_proj"), "dropout": 0.25}),
        ("llama", {}),
        ("llama", {"projections": ("q_proj", "v_proj"), "dropout": 0.25}),
    ],
)
def test_our_adapter_loads_in_peft_and_comes_back_the_same(kind: str, settings: dict, tmp_path: Path) -> None:
    model = tuned(kind, **settings)
    save_adapter(tmp_path / "adapter", model, base=str(base(kind, tmp_path)))
    peft = theirs(tmp_path / "base", tmp_path / "adapter")
    # in float64: in float32 two orders of the same sums may differ by more than 1e-6
    ours = copy.deepcopy(model).double()
    torch.testing.assert_close(peft.double()(tokens()).logits, ours(tokens()), rtol=1e-6, atol=1e-6)
    assert peft.peft_config["default"].lora_dropout == settings.get("dropout", 0.0)

    again = load_adapter(tmp_path / "adapter", load_folder(tmp_path / "base")[0])
    found = adapter_parameters(again)
    assert list(found) == list(adapter_parameters(model))
    assert all(torch.equal(found[name], p) for name, p in adapter_parameters(model).items())
    assert torch.equal(again(tokens()), model(tokens()))
    dropouts = {getattr(layer.adapter.dropout, "p", 0.0) for _, layer in lora_layers(again)}
    assert dropouts == {settings.get("dropout", 0.0)}


def test_an_adapter_of_our_own_kind_of_model_comes_back_the_same(tmp_path: Path) -> None:
    model = tuned("cutaway")
    save_adapter(tmp_path / "adapter", model)
    again = load_adapter(tmp_path / "adapter", build(CONFIGS["cutaway"]).eval())
    assert torch.equal(again(tokens()), model(tokens()))


def test_three_as_that_were_trained_as_one_matrix_are_read_as_one(tmp_path: Path) -> None:
    model = tuned("gpt2", projections=("q_proj", "v_proj"))
    save_adapter(tmp_path / "adapter", model, base=str(base("gpt2", tmp_path)))
    peft = theirs(tmp_path / "base", tmp_path / "adapter")
    shake([p for name, p in peft.named_parameters() if "lora_" in name])  # the zeros of the blocks are none now
    peft.save_pretrained(tmp_path / "trained")
    again = load_adapter(tmp_path / "trained", load_folder(tmp_path / "base")[0])
    ours = copy.deepcopy(again).double()
    torch.testing.assert_close(ours(tokens()), peft.double()(tokens()).logits, rtol=1e-6, atol=1e-6)
    assert "blocks.2.attn.k_proj" in dict(lora_layers(again))
    assert again.get_submodule("blocks.2.attn.k_proj").adapter.A.shape == (2 * R, C)
    note = {"format": "pt", "cutaway_apart": "q_proj,v_proj"}  # kept by mistake: still read as what it is
    save_file(
        load_file(tmp_path / "trained" / "adapter_model.safetensors"),
        tmp_path / "trained" / "adapter_model.safetensors",
        note,
    )
    same = load_adapter(tmp_path / "trained", load_folder(tmp_path / "base")[0])
    assert torch.equal(same(tokens()), again(tokens()))


# ---- theirs in ours ----

THEIRS = {
    "gpt2, attention": ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
    "gpt2, everything": ("gpt2", {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}),
    "llama, attention": ("llama", {"target_modules": ["q_proj", "v_proj"]}),
    "llama, everything": ("llama", {"target_modules": "all-linear"}),
    "ranks and alphas of their own": (
        "llama",
        {
            "target_modules": "all-linear",
            "rank_pattern": {"mlp.up_proj": 5, r"layers\.[12]\.self_attn\.q_proj": 2},
            "alpha_pattern": {"down_proj": 3},
        },
    ),
    "alpha by the root of the rank": ("llama", {"target_modules": ["k_proj", "o_proj"], "use_rslora": True}),
    "some blocks": ("llama", {"target_modules": ["up_proj"], "layers_to_transform": [1, 3]}),
}


@pytest.mark.parametrize("kind", THEIRS)
def test_their_adapter_loads_in_ours_and_goes_back(kind: str, tmp_path: Path) -> None:
    family, settings = THEIRS[kind]
    model = AutoModelForCausalLM.from_pretrained(base(family, tmp_path))
    peft = get_peft_model(model, LoraConfig(r=R, lora_alpha=8, lora_dropout=0.1, **settings)).eval()
    shake([p for p in peft.parameters() if p.requires_grad])
    peft.save_pretrained(tmp_path / "adapter")
    ours = load_adapter(tmp_path / "adapter", load_folder(tmp_path / "base")[0])
    expected = peft.double()(tokens()).logits
    torch.testing.assert_close(copy.deepcopy(ours).double()(tokens()), expected, rtol=1e-6, atol=1e-6)

    save_adapter(tmp_path / "back", ours)
    old, new = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("adapter", "back"))
    assert set(new) == set(old)
    assert all(torch.equal(new[name], old[name]) for name in old)
    again = theirs(tmp_path / "base", tmp_path / "back").double()
    torch.testing.assert_close(again(tokens()).logits, expected, rtol=1e-6, atol=1e-6)


def test_an_adapter_of_the_bare_model_is_read(tmp_path: Path) -> None:
    bare = AutoModel.from_pretrained(base("gpt2", tmp_path))
    config = LoraConfig(r=R, target_modules=["c_attn"], fan_in_fan_out=True)
    peft = get_peft_model(bare, config).eval()
    shake([p for p in peft.parameters() if p.requires_grad])
    peft.save_pretrained(tmp_path / "adapter")
    names = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert "base_model.model.h.0.attn.c_attn.lora_A.weight" in names
    ours = load_adapter(tmp_path / "adapter", load_folder(tmp_path / "base")[0])
    torch.testing.assert_close(ours.hidden(tokens()), peft(tokens()).last_hidden_state, rtol=1e-6, atol=2e-6)


def test_an_adapter_in_bfloat16_is_read_into_float32(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    file = folder / "adapter_model.safetensors"
    save_file({name: x.bfloat16() for name, x in load_file(file).items()}, file)
    ours = load_adapter(folder, build(CONFIGS["llama"], dtype=torch.bfloat16))
    assert {p.dtype for p in adapter_parameters(ours).values()} == {torch.float32}


# ---- what is refused ----


def saved(kind: str, folder: Path) -> Path:
    save_adapter(folder / "adapter", tuned(kind))
    return folder / "adapter"


def refused(folder: Path, config: ModelConfig) -> str:
    model = build(config)
    with pytest.raises(CutawayError) as caught:
        load_adapter(folder, model)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    assert isinstance(caught.value, ModelFormatError)
    assert all(p.requires_grad for p in model.parameters())  # untouched
    return message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "peft_type = 'PREFIX_TUNING'; expected 'LORA'"),
        ({"peft_type": None}, "no 'peft_type'"),
        ({"bias": "all"}, "bias = 'all'"),
        ({"use_dora": True}, "use_dora = True, which is not supported"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save = \\['lm_head'\\]"),
        ({"layer_replication": [[0, 3]]}, "layer_replication"),
        ({"something_new": 1}, "something_new = 1, which is not supported"),
        ({"init_lora_weights": "pissa"}, "'pissa', which may change the base's weights"),
        ({"r": 4}, "lora_A of model.layers.0.self_attn.q_proj has rank 3, but adapter_config.json says 4"),
        ({"r": "3"}, "r = '3'; expected a whole number"),
        ({"alpha_pattern": {"(": 1}}, "the pattern '\\(', which is none"),
    ],
)
def test_settings_we_cannot_follow_are_refused(changes: dict, message: str, tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert re.search(message, found := refused(folder, CONFIGS["llama"])), found


def test_adapters_of_another_model_are_refused(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    narrower = LlamaConfig(V, S, 16, L, H, G, d_ff=F)
    expected = "lora_A of model.layers.0.self_attn.q_proj has shape (3, 24), but the model makes it (3, 16)"
    assert expected in refused(folder, narrower)
    assert "for which the model has no place" in refused(folder, LlamaConfig(V, S, C, L - 1, H, G, d_ff=F))
    assert "the model has attn.c_attn, attn.c_proj, mlp.c_fc, mlp.c_proj" in refused(folder, CONFIGS["gpt2"])
    wider = LlamaConfig(V, S, C, L, H, G, d_ff=F + 4)
    assert "lora_B of model.layers.0.mlp.gate_proj has shape (40, 3)" in refused(folder, wider)


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    folder, config = saved("llama", tmp_path), CONFIGS["llama"]
    file = folder / "adapter_model.safetensors"
    whole, state = file.read_bytes(), load_file(file)
    name = next(iter(state))
    file.write_bytes(whole[:-9])
    assert "truncated or altered" in refused(folder, config)
    save_file({key: x for key, x in state.items() if key != name}, file)
    assert "only one half of the correction" in refused(folder, config)
    save_file(state | {name: state[name].to(torch.int8)}, file)
    assert "is I8 of shape" in refused(folder, config)
    save_file(state | {"base_model.model.lm_head.lora_A.weight": torch.zeros(R, C)}, file)
    assert "it has base_model.model.lm_head.lora_A.weight, for which the model has no place" in refused(folder, config)
    save_file({}, file)
    assert "is empty" in refused(folder, config)
    file.rename(folder / "adapter_model.bin")
    assert "adapter_model.bin, a pickle, which can run any code" in refused(folder, config)
    (folder / "adapter_model.bin").unlink()
    assert "there is no adapter in" in refused(folder, config)
    file.write_bytes(whole)
    (folder / "adapter_config.json").write_text("{")
    assert "is not JSON" in refused(folder, config)
    assert "there is no folder" in refused(folder / "nowhere", config)


def test_parts_of_one_matrix_that_differ_in_scale_are_not_written(tmp_path: Path) -> None:
    factors = {
        f"blocks.0.attn.{part}_proj": Factors(torch.ones(R, C), torch.ones(C, R), scale)
        for part, scale in (("q", 1.0), ("k", 2.0))
    }
    with pytest.raises(UsageError, match=r"the parts of transformer\.h\.0\.attn\.c_attn have .* different"):
        write_adapter(tmp_path / "adapter", CONFIGS["gpt2"], factors, 0.0, None)
