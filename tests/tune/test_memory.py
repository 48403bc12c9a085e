"""What a tuning takes: counted beforehand, measured afterwards, and made smaller where it does not fit."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway.base.memory import is_out_of_memory
from cutaway.models import presets
from cutaway.models.build import assemble, build
from cutaway.models.config import LlamaConfig, ModelConfig
from cutaway.models.count import block_matrices
from cutaway.train.config import TrainConfig
from cutaway.tune.config import TuneConfig
from cutaway.tune.fit_memory import fit, free_memory, smaller
from cutaway.tune.lora import LoRAConfig, adapter_parameters, add_lora
from cutaway.tune.memory import PROCESS_BYTES, Tuning, count_tuning
from cutaway.tune.quantize import quantize_base

LLAMA = LlamaConfig(4000, 512, 256, 4, 8, 4, d_ff=704)
GPT2 = dataclasses.replace(presets.plain(512, 256, 4, 4), vocab_size=4000)


def tuning(model: ModelConfig = LLAMA, n_tokens: int = 256, n_learned: int = 128, **settings: Any) -> Tuning:
    names = {field.name for field in dataclasses.fields(TuneConfig)}
    tune = TuneConfig(**{name: value for name, value in settings.items() if name in names})
    train = {name: value for name, value in settings.items() if name not in names}
    train = {"batch_size": 4, "optimizer": "adamw", "precision": "float32"} | train
    return Tuning(model, tune, TrainConfig(**train), n_tokens, n_learned)


@pytest.mark.parametrize("config", [LLAMA, GPT2], ids=["llama", "gpt2"])
def test_weights_and_what_learns_are_counted_exactly(config: ModelConfig) -> None:
    shapes = {name.rpartition(".")[2]: m for name, m in assemble(config).blocks[0].named_modules()}
    assert block_matrices(config) == {
        name: (m.out_features, m.in_features) for name, m in shapes.items() if isinstance(m, torch.nn.Linear)
    }
    full = count_tuning(tuning(config, method="full"))
    model = build(config)
    assert full.weights == 4 * sum(p.numel() for p in model.parameters())
    assert (full.gradients, full.optimizer) == (full.weights, 2 * full.weights)
    passing = 8 * max(m.in_features * m.out_features for m in model.blocks.modules() if hasattr(m, "in_features"))
    lora4 = count_tuning(tuning(config, method="lora4", rank=3))
    add_lora(quantize_base(model), LoRAConfig(rank=3))
    learns = 4 * sum(p.numel() for p in adapter_parameters(model).values())
    assert lora4.gradients == learns
    held = sum(x.numel() * x.element_size() for x in [*model.parameters(), *model.buffers()])
    tables = sum(x.numel() * 4 for name, x in model.named_buffers() if name.endswith(("cos_ND", "sin_ND")))
    assert lora4.weights - passing == pytest.approx(held - tables, rel=1e-3)


MEASURE = """
import json, sys
import torch
from cutaway.base.memory import give_back_freed_memory
from cutaway.models.build import build
from cutaway.tune.checkpointing import checkpoint_blocks
from cutaway.tune.lora import add_lora
from cutaway.tune.quantize import quantize_base
from tune.test_memory import GPT2, LLAMA

def status(what):
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith(what))

def measure(config, method, checkpointing):
    model = build(config)
    if method == "lora4":
        quantize_base(model)
    if method != "full":
        add_lora(model)
    if checkpointing:
        checkpoint_blocks(model)
    learns = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learns, fused=True)
    tokens = torch.randint(4000, (1, 1024))
    wanted = torch.cat([torch.arange(128) + 256 * i + 128 for i in range(4)])
    open("/proc/self/clear_refs", "w").write("5")  # begin a new peak
    for _ in range(2):
        logits = model(tokens, lengths=(256,) * 4, wanted=wanted)[0]
        loss = torch.nn.functional.cross_entropy(logits, tokens[0, wanted])
        del logits
        loss.backward()
        before = [p.detach().clone() for p in learns]
        optimizer.step()
        optimizer.zero_grad()
        del before
    return status("VmHWM")

torch.set_num_threads(1)
give_back_freed_memory()
a = torch.randn(300, 300, requires_grad=True)  # the first use of each loads code, which is not what is counted
(a @ a).sum().backward()
torch.optim.AdamW([a], fused=True).step()
name, method, checkpointing = json.loads(sys.argv[1])
start = status("VmRSS")
print(measure({"gpt2": GPT2, "llama": LLAMA}[name], method, checkpointing) - start)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process its peak")
@pytest.mark.parametrize("way", [("llama", "full", 0), ("llama", "lora4", 1), ("gpt2", "full", 1), ("gpt2", "lora", 0)])
@pytest.mark.slow
def test_the_peak_is_as_counted(way: tuple[str, str, int]) -> None:
    name, method, checkpointing = way
    command = [sys.executable, "-c", MEASURE, json.dumps(way)]  # a process, and so a memory, of its own
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tests, timeout=120)
    config = {"gpt2": GPT2, "llama": LLAMA}[name]
    counted = count_tuning(tuning(config, method=method, checkpointing=bool(checkpointing))).total - PROCESS_BYTES
    # beside what is counted: code of the library that is loaded when first called
    assert 0.8 * counted - 20e6 < int(done.stdout) < 1.2 * counted + 40e6, counted


def test_published_sizes() -> None:
    def takes(model: ModelConfig, method: str, dtype: str = "float32") -> float:
        made = tuning(model, 1024, 512, method=method, checkpointing=True, batch_size=1)
        return count_tuning(dataclasses.replace(made, dtype=dtype)).total / 1e9

    assert takes(presets.gpt2(), "full") == pytest.approx(3.1, abs=0.5)
    assert takes(presets.gpt2_xl(), "full") > 16 * 1.558  # weights, gradients, two means: 16 bytes a number
    assert takes(presets.llama3_8b(), "lora", "bfloat16") == pytest.approx(20, abs=2)
    assert takes(presets.llama3_8b(), "lora4", "bfloat16") < 10.5


def test_what_to_change_is_the_cheapest_that_fits() -> None:
    start = tuning(method="full")
    needed = count_tuning(start).total
    assert fit(start, needed).fits
    found = fit(start, needed - 1)
    assert not found.fits
    assert [step.change.setting for step in found.steps] == ["--train.accumulate 2"]
    assert found.then_bytes < needed
    assert "makes it" in found.advice()
    assert "weights 20 MB" in found.describe()
    # weights alone are too many: neither the batch nor checkpointing helps, and neither is proposed
    big = dataclasses.replace(tuning(presets.llama3_8b(), 64, 32, method="full", batch_size=1), dtype="float32")
    assert [step.change.setting for step in fit(big, 40 * 10**9).steps] == ["--method lora"]
    assert [step.change.setting for step in fit(big, 14 * 10**9).steps] == ["--method lora4"]
    nothing = smaller(big, 10**9)
    assert nothing.then_bytes > 10**9
    assert "take a smaller base" in nothing.advice()
    long = tuning(n_tokens=512, n_learned=512, method="lora4", batch_size=1, checkpointing=True)
    assert "--tune.context-length 256" in fit(long, count_tuning(long).total - 1).steps[0].change.setting


def test_more_memory_is_free_than_this_process_has() -> None:
    assert 0 < free_memory() < 1 << 50


def test_errors_of_too_little_memory_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
