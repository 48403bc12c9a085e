"""Folders of transformers, both ways: equal logits, equal gradients, one clear line for the rest."""

from __future__ import annotations

import dataclasses
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save_file
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    PreTrainedModel,
)
from transformers import LlamaConfig as TheirLlamaConfig
from transformers.utils.logging import disable_progress_bar

from cutaway.base.errors import CutawayError, ModelFormatError, UsageError
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig, RotaryScaling
from cutaway.text.bpe import BPETokenizer

disable_progress_bar()
B, T, S, C, H, G, F, V, L = 3, 7, 11, 24, 4, 2, 40, 31, 5
ROPE3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def gpt2(**changes: object) -> PreTrainedModel:
    sizes = {"vocab_size": V, "n_positions": S, "n_embd": C, "n_layer": L, "n_head": H, "n_inner": F}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return shaken(GPT2LMHeadModel(GPT2Config(**{**sizes, **ends, **changes})))


def llama(**changes: object) -> PreTrainedModel:
    sizes = {"vocab_size": V, "max_position_embeddings": 64, "hidden_size": C, "intermediate_size": F}
    layers = {"num_hidden_layers": L, "num_attention_heads": H, "num_key_value_heads": G}
    return shaken(LlamaForCausalLM(TheirLlamaConfig(**{**sizes, **layers, **changes})))


def shaken(model: PreTrainedModel) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model.eval()


def tokens(length: int = S) -> Tensor:
    return torch.randint(V, (B, length), generator=torch.Generator().manual_seed(0))


THEIRS = {
    "gpt2": lambda: gpt2(),
    "gpt2, untied, exact gelu": lambda: gpt2(tie_word_embeddings=False, activation_function="gelu", n_inner=None),
    "gpt2, relu": lambda: gpt2(activation_function="relu", reorder_and_upcast_attn=True),
    "llama": lambda: llama(),
    "llama, biased, ungrouped": lambda: llama(attention_bias=True, mlp_bias=True, num_key_value_heads=None),
    "llama, tied": lambda: llama(tie_word_embeddings=True, rms_norm_eps=1e-5),
    "llama 3": lambda: llama(rope_parameters=ROPE3, head_dim=8),
}


@pytest.mark.parametrize("kind", THEIRS)
def test_logits_equal_both_ways(kind: str, tmp_path: Path) -> None:
    theirs = THEIRS[kind]()
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        theirs.to(dtype).save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
        assert (tmp_path / "theirs" / "model.safetensors.index.json").is_file()
        with torch.no_grad():
            expected = theirs(tokens()).logits
            ours, tokenizer = load_folder(tmp_path / "theirs")
            assert tokenizer is None
            assert ours.dtype is dtype
            assert (ours(tokens()) - expected).abs().max() < tolerance
            save_folder(tmp_path / "ours", ours)
            again = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype="auto")
            assert type(again) is type(theirs)
            assert again.dtype is dtype
            assert (again(tokens()).logits - expected).abs().max() < tolerance
        once_more, _ = load_folder(tmp_path / "ours")
        assert dataclasses.replace(once_more.config, d_ff=None) == dataclasses.replace(ours.config, d_ff=None)


@pytest.mark.parametrize("kind", ["gpt2", "llama 3"])
def test_gradients_equal(kind: str, tmp_path: Path) -> None:
    theirs = THEIRS[kind]().double()
    theirs.save_pretrained(tmp_path)
    ours, _ = load_folder(tmp_path)
    theirs(tokens()).logits.logsumexp(-1).sum().backward()
    ours(tokens()).logsumexp(-1).sum().backward()
    expected, found = dict(theirs.named_parameters()), dict(ours.named_parameters())
    if kind == "gpt2":
        qkv = torch.cat([found[f"blocks.3.attn.{name}_proj.weight"].grad for name in "qkv"]).T
        torch.testing.assert_close(qkv, expected["transformer.h.3.attn.c_attn.weight"].grad, rtol=1e-7, atol=1e-7)
        table = expected["transformer.wte.weight"].grad
    else:
        k = found["blocks.3.attn.k_proj.weight"].grad
        theirs_k = expected["model.layers.3.self_attn.k_proj.weight"].grad
        torch.testing.assert_close(k, theirs_k, rtol=1e-5, atol=1e-5)  # their norms round to float32
        table = expected["model.embed_tokens.weight"].grad
    torch.testing.assert_close(found["token_embedding.weight"].grad, table, rtol=1e-5, atol=1e-5)


def test_writing_with_their_cache_and_ours_gives_the_same_text(tmp_path: Path) -> None:
    theirs = llama(rope_parameters=ROPE3)
    theirs.save_pretrained(tmp_path)
    ours, _ = load_folder(tmp_path)
    expected = theirs.generate(tokens(T), max_new_tokens=9, do_sample=False, eos_token_id=None, pad_token_id=0)
    cache, text = ours.new_cache(B), tokens(T)
    with torch.no_grad():
        for _ in range(9):
            new = ours(text[:, cache.length :], cache)[:, -1:].argmax(-1)
            text = torch.cat([text, new], dim=1)
    assert torch.equal(text, expected)


def test_precision_can_be_chosen(tmp_path: Path) -> None:
    gpt2().bfloat16().save_pretrained(tmp_path)
    assert load_folder(tmp_path)[0].dtype is torch.bfloat16
    model, _ = load_folder(tmp_path, torch.float64)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}


def test_a_bare_model_with_mask_buffers_is_read(tmp_path: Path) -> None:
    theirs = gpt2()
    theirs.save_pretrained(tmp_path)
    state = {
        name.removeprefix("transformer."): x for name, x in load((tmp_path / "model.safetensors").read_bytes()).items()
    }
    state["h.0.attn.bias"] = torch.ones(1, 1, S, S).tril()
    state["lm_head.weight"] = state["wte.weight"].clone()
    save_file(state, tmp_path / "model.safetensors")
    model, _ = load_folder(tmp_path)
    torch.testing.assert_close(model(tokens()), theirs(tokens()).logits, rtol=1e-4, atol=1e-4)
    state["lm_head.weight"][2, 3] += 1
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ModelFormatError, match="two different ones"):
        load_folder(tmp_path)


def test_transformers_4_settings_are_read(tmp_path: Path) -> None:
    theirs = llama(rope_parameters=ROPE3)
    theirs.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    rope = settings.pop("rope_parameters")
    settings |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope, "torch_dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    model, _ = load_folder(tmp_path)
    torch.testing.assert_close(model(tokens()), theirs(tokens()).logits, rtol=1e-4, atol=1e-4)


OWN: dict[str, ModelConfig] = {
    "cutaway": GPTConfig(V, S, C, L, H, ngram_sizes=(2, 3), ngram_rows=(97, 89)),
    "gpt2": GPTConfig(
        V,
        S,
        C,
        L,
        H,
        positions="learned",
        norm="layer",
        mlp="gelu",
        bias=True,
        qk_norm=False,
        dropout=0.1,
        init_std=0.02,
        zero_init_projections=False,
    ),
    "llama": GPTConfig(V, S, C, L, H, G, mlp="swiglu", qk_norm=False, bias=True, rotary_base=300.0),
}


@pytest.mark.parametrize("model_type", OWN)
def test_our_models_come_back_the_same(model_type: str, tmp_path: Path) -> None:
    model = build(OWN[model_type]).eval()
    save_folder(tmp_path, model)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == model_type
    again, _ = load_folder(tmp_path)
    torch.testing.assert_close(again(tokens()), model(tokens()), rtol=1e-5, atol=1e-5)
    if model_type != "cutaway":
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
        torch.testing.assert_close(theirs(tokens()).logits, model(tokens()), rtol=1e-4, atol=1e-4)
    if model_type != "llama":
        assert again.config == model.config


def test_every_setting_of_our_own_comes_back(tmp_path: Path) -> None:
    scaling = RotaryScaling(4.0, 1.5, 3.0, 9)
    for config in (
        GPTConfig(V, S, C, L, H, rotary_scaling=scaling, tied=True, attention_scale=0.12, init_std=None),
        LlamaConfig(V, S, C, L, H, G, 8, rotary_scaling=scaling),
    ):
        save_folder(tmp_path / "m", build(config), model_type="cutaway")
        assert load_folder(tmp_path / "m")[0].config == config


def test_the_tokenizer_travels_along(tmp_path: Path) -> None:
    tokenizer = BPETokenizer.train(["the cat sat on the mat"] * 9, 270)
    model = build(GPTConfig(tokenizer.vocab_size, S, C, L, H))
    save_folder(tmp_path, model, tokenizer)
    _, again = load_folder(tmp_path)
    assert again is not None
    assert again.encode("the mat") == tokenizer.encode("the mat")
    assert AutoTokenizer.from_pretrained(tmp_path)("the mat")["input_ids"] == tokenizer.encode("the mat")
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == tokenizer.eos_id


def test_the_older_pair_of_tokenizer_files_is_read(tmp_path: Path) -> None:
    tokenizer = BPETokenizer.train(["the cat sat on the mat"] * 9, 270)
    gpt2(vocab_size=tokenizer.vocab_size).save_pretrained(tmp_path)
    tokenizer.inner.model.save(str(tmp_path))
    _, again = load_folder(tmp_path)
    assert again is not None
    assert again.encode("the mat") == tokenizer.encode("the mat")


@pytest.mark.parametrize(
    ("config", "model_type", "message"),
    [
        (OWN["cutaway"], "gpt2", "no place for rotary positions, RMSNorm, ReLU\\^2, linear .* and 2 more"),
        (
            OWN["cutaway"],
            "llama",
            "no place for an MLP with relu2 in place of SwiGLU, QK-norm, n-gram embeddings",
        ),
        (OWN["gpt2"], "llama", "learned positions"),
        (LlamaConfig(V, S, C, L, H), "gpt2", "rotary positions, RMSNorm, SwiGLU"),
        (LlamaConfig(V, S, C, L, 5, d_head=8), "llama", "heads that do not divide d_model"),
        (OWN["gpt2"], "gpt3", "no model type 'gpt3' \\(did you mean gpt2\\?\\)"),
    ],
)
def test_parts_without_a_place_are_named(config: ModelConfig, model_type: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        save_folder(tmp_path / "m", build(config), model_type=model_type)
    assert not (tmp_path / "m").exists()


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "old").write_text("kept")
    model = build(GPTConfig(vocab_size=V))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # no file may grow beyond this
    try:
        with pytest.raises(CutawayError, match=r"could not write .*/m: "):
            save_folder(tmp_path / "m", model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["m", "old"]


# ---- what is refused ----


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    gpt2().save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def refused(folder: Path | str) -> str:
    with pytest.raises(CutawayError) as caught:
        load_folder(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def change_settings(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"scale_attn_by_inverse_layer_idx": True},
            "scale_attn_by_inverse_layer_idx = True .* not supported",
        ),
        ({"scale_attn_weights": False}, "scale_attn_weights = False"),
        ({"add_cross_attention": True}, "add_cross_attention = True"),
        ({"activation_function": "silu"}, "activation_function = 'silu'; expected one of"),
        ({"quantization_config": {"bits": 4}}, "weights in few bits"),
        ({"model_type": "gpt_2"}, "type 'gpt_2' are not supported .did you mean gpt2"),
        ({"model_type": None}, "has no 'model_type'"),
        ({"n_layer": "5"}, "n_layer = '5'; expected a whole number"),
        ({"n_layer": True}, "n_layer = True; expected a whole number"),
        ({"n_layer": 4}, "for which config.json has no place"),
        ({"n_layer": 6}, "the weights lack transformer.h.5.ln_1.weight.* and 8 more"),
        ({"n_head": 5}, "describes a model that cannot be: model.d_model 24 cannot be split"),
        ({"n_positions": 12}, r"wpe.weight has shape \(11, 24\), but config.json makes it \(12, 24\)"),
        ({"n_inner": 44}, r"has shape \(24, 40\), but config.json makes it \(24, 44\)"),
        ({"tie_word_embeddings": False}, "the weights lack lm_head.weight"),
    ],
)
def test_settings_we_cannot_follow_are_refused(changes: dict, message: str, folder: Path) -> None:
    change_settings(folder, **changes)
    found = refused(folder)
    assert re.search(message, found), found
    assert str(folder) in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_parameters": {**ROPE3, "rope_type": "yarn"}}, "rotary scaling 'yarn'"),
        (
            {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": None},
            "rotary scaling 'linear'",
        ),
        ({"rope_parameters": {"rope_type": "llama3"}}, "has no 'factor'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5"),
        ({"sliding_window": 128}, "sliding_window = 128"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps = 'small'; expected a number"),
    ],
)
def test_llama_settings_we_cannot_follow_are_refused(changes: dict, message: str, tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    change_settings(tmp_path, **changes)
    assert message in refused(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "bert"}, "family = 'bert'"),
        ({"config": {"d_modle": 24}}, "unknown setting 'd_modle' (did you mean d_model"),
        ({"config": {"rotary_scaling": {"factr": 1}}}, "unknown setting 'rotary_scaling.factr'"),
        ({"config": {"d_model": "24"}}, "d_model"),
        ({"config": {"d_model": None}}, "d_model = null, where a value is needed"),
        ({"config": 3}, "config = 3; expected an object"),
    ],
)
def test_damaged_settings_of_our_own_are_refused(changes: dict, message: str, tmp_path: Path) -> None:
    save_folder(tmp_path, build(OWN["cutaway"]))
    change_settings(tmp_path, **changes)
    assert message in refused(tmp_path)


def test_missing_and_broken_files_are_refused(folder: Path) -> None:
    settings = (folder / "config.json").read_text()
    (folder / "config.json").write_text(settings[:-9])
    assert "is not JSON" in refused(folder)
    (folder / "config.json").write_text("[]")
    assert "is not a JSON object" in refused(folder)
    (folder / "config.json").unlink()
    assert "no config.json" in refused(folder)
    (folder / "config.json").write_text(settings)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pytorch_model.bin, a pickle, which can run any code" in refused(folder)
    (folder / "pytorch_model.bin").unlink()
    assert "no weights" in refused(folder)
    assert "is a file; expected the folder" in refused(folder / "config.json")


def test_tampered_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    state = load(whole)
    path.write_bytes(whole[:-100])
    assert "truncated or altered" in refused(folder)
    path.write_bytes(b"")
    assert "truncated or altered" in refused(folder)
    save_file({**state, "transformer.spy.weight": torch.zeros(2)}, path)
    assert "the weights have transformer.spy.weight, for which config.json has no place" in refused(folder)
    save_file({name: x for name, x in state.items() if "ln_f.bias" not in name}, path)
    assert "the weights lack transformer.ln_f.bias" in refused(folder)
    save_file({**state, "transformer.ln_f.bias": torch.zeros(C, dtype=torch.int8)}, path)
    assert "is stored as I8" in refused(folder)
    save_file({**state, "transformer.ln_f.bias": torch.zeros(C, 1)}, path)
    assert "has shape (24, 1), but config.json makes it (24,)" in refused(folder)


def test_shards_that_do_not_fit_their_index_are_refused(tmp_path: Path) -> None:
    gpt2().save_pretrained(tmp_path, max_shard_size="20KB")
    index = tmp_path / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    first = sorted(set(content["weight_map"].values()))[0]
    whole = (tmp_path / first).read_bytes()
    (tmp_path / first).unlink()
    assert f"names the shard '{first}', which is not there" in refused(tmp_path)
    (tmp_path / first).write_bytes(whole[:-1])
    assert "truncated or altered" in refused(tmp_path)
    (tmp_path / first).write_bytes(whole)
    moved = next(name for name, shard in content["weight_map"].items() if shard != first)
    content["weight_map"][moved] = first
    index.write_text(json.dumps(content))
    assert f"says tensor {moved} is in {first}, but it is not" in refused(tmp_path)
    content["weight_map"][moved] = "../" + first
    index.write_text(json.dumps(content))
    assert "which is not there" in refused(tmp_path)


MEASURE = """
import sys, torch
from cutaway.interop.hub_folder import load_folder
def peak(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
before = peak("VmRSS")
model, _ = load_folder(sys.argv[1])
size = sum(parameter.nbytes for parameter in model.parameters())
print(size, (peak("VmHWM") - before) / size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("sharded", [True, False])
@pytest.mark.slow
def test_loading_needs_a_fifth_more_than_the_model_at_most(sharded: bool, tmp_path: Path) -> None:
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    config = GPT2Config(vocab_size=20000, n_positions=64, n_embd=1024, n_layer=2, n_head=8, **ends)
    with torch.device("meta"):
        theirs = GPT2LMHeadModel(config)
    state = {name: torch.zeros(x.shape) for name, x in theirs.state_dict().items() if name != "lm_head.weight"}
    names = list(state)
    shards = [names[i::3] for i in range(3)] if sharded else [names]
    for i, shard in enumerate(shards):
        name = f"model-{i}.safetensors" if sharded else "model.safetensors"
        save_file({name: state[name] for name in shard}, tmp_path / name)
    if sharded:
        weight_map = {name: f"model-{i}.safetensors" for i, shard in enumerate(shards) for name in shard}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    config.save_pretrained(tmp_path)
    measured = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True)
    size, ratio = map(float, measured.stdout.split())
    assert size > 150e6
    assert 1.0 <= ratio < 1.2
