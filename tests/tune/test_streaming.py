"""Weights stream in: loading takes the model and a little, and with rounding never the model in floats."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cutaway.interop.folder_files import INDEX
from cutaway.interop.hub_folder import choose_layout, load_folder, save_folder, stored_tensors
from cutaway.models.build import build
from cutaway.models.config import LlamaConfig, ModelConfig
from cutaway.models.presets import plain
from cutaway.tune.quantize import NF4Linear, load_quantized, quantize_base

V = 31


def save_shards(folder: Path, config: ModelConfig, n_shards: int) -> None:
    model = build(config)
    save_folder(folder, model)
    tensors = stored_tensors(model, choose_layout(config, None), config)
    (folder / "model.safetensors").unlink()
    shard_of = {}
    for i in range(n_shards):
        shard = f"model-{i + 1:05}-of-{n_shards:05}.safetensors"
        names = list(tensors)[i::n_shards]
        save_file({name: tensors[name] for name in names}, folder / shard)
        shard_of |= dict.fromkeys(names, shard)
    (folder / INDEX).write_text(json.dumps({"weight_map": shard_of}))


GPT2 = dataclasses.replace(plain(16, 32, 3, 4), vocab_size=V)
LLAMA = LlamaConfig(V, 16, 32, 3, 4, 2, d_ff=80, tied=True)


@pytest.mark.parametrize("config", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_rounding_while_loading_is_loading_and_then_rounding(config: ModelConfig, tmp_path: Path) -> None:
    save_shards(tmp_path, config, 4)
    ours, tokenizer = load_quantized(tmp_path)
    expected = quantize_base(load_folder(tmp_path)[0])
    assert tokenizer is None
    assert sum(type(module) is NF4Linear for module in ours.modules()) == 3 * (6 if config is GPT2 else 7)
    found = ours.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.state_dict().items())
    assert found.keys() == expected.state_dict().keys()
    assert not any(p.requires_grad or p.is_meta for p in ours.parameters())
    assert not ours.training
    load_quantized(tmp_path, torch.bfloat16)[0](torch.zeros(1, 3, dtype=torch.long))


MEASURE = """
import gc, json, sys
from cutaway.base.memory import give_back_freed_memory
from cutaway.interop.hub_folder import load_folder
from cutaway.tune.quantize import load_quantized

give_back_freed_memory()

def status(what):
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith(what))

load_quantized(sys.argv[1])  # whatever is loaded once
for load in (load_quantized, load_folder):
    gc.collect()
    before = status("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")  # begin a new peak
    model, _ = load(sys.argv[2])
    held = {x.data_ptr(): x.numel() * x.element_size() for x in [*model.parameters(), *model.buffers()]}
    print(json.dumps([status("VmHWM") - before, sum(held.values())]))
    del model, held
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process its peak")
@pytest.mark.slow
def test_eight_shards_take_the_model_and_one_tensor(tmp_path: Path) -> None:
    save_shards(tmp_path / "small", LLAMA, 2)
    large = LlamaConfig(1000, 16, 512, 16, 8, 8, d_ff=1536)
    save_shards(tmp_path / "large", large, 8)
    floats = sum(file.stat().st_size for file in (tmp_path / "large").glob("*.safetensors"))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "small"), str(tmp_path / "large")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (peak4, held4), (peak, held) = (json.loads(line) for line in printed.splitlines())
    tensor, piece = 4 * 512 * 1536, 4 << 20
    assert held == pytest.approx(floats, rel=0.01)
    assert held4 < 0.25 * floats
    assert peak < held + 6 * piece
    assert peak4 < held4 + 2 * tensor + 6 * piece
    assert held4 + 2 * tensor + 6 * piece < 0.5 * floats
