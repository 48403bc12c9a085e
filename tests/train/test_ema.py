"""The average of the weights: its formula, PyTorch's own, and a run that stops and goes on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel
from toy import ALONE, StopAt, ToyObjective, config, run_in, train

from cutaway.base.errors import CheckpointError, ConfigError
from cutaway.base.objective import Sample, Validation
from cutaway.base.runs import RunFolder, read_jsonl
from cutaway.train.checkpoint import list_checkpoints
from cutaway.train.ema import Average, decay_after
from cutaway.train.trainer import Trainer

SIZES = [(3, 5), (7,), (2, 3, 4)]


def wander(seed: int) -> torch.nn.ParameterList:
    """Weights that go somewhere else at every call of `move`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.ParameterList([torch.nn.Parameter(torch.randn(size, generator=generator)) for size in SIZES])


def move(model: torch.nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(1000 + step)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.999])
def test_it_equals_the_formula_worked_out_by_hand_and_pytorchs_averaged_model(decay: float) -> None:
    model = wander(0)

    def torchs(averaged: Any, current: Any, count: Any) -> None:
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + int(count)) / (10 + int(count))))

    reference = AveragedModel(model, multi_avg_fn=torchs)
    reference.update_parameters(model)  # its first call copies
    average = Average(model, decay)
    by_hand = [parameter.detach().double() for parameter in model.parameters()]
    for step in range(1, 40):
        move(model, step)
        average.update(step)
        reference.update_parameters(model)
        d = min(decay, (1 + step) / (10 + step))
        by_hand = [a + (1 - d) * (w.detach().double() - a) for a, w in zip(by_hand, model.parameters(), strict=True)]
    for mine, theirs, exact in zip(average.values.values(), reference.module.parameters(), by_hand, strict=True):
        assert torch.equal(mine, theirs)
        torch.testing.assert_close(mine.double(), exact, rtol=1e-5, atol=1e-6)


def test_the_decay_rises_to_its_value() -> None:
    assert [decay_after(k, 0.5) for k in (1, 2, 8, 9)] == [2 / 11, 3 / 12, 0.5, 0.5]
    with pytest.raises(ConfigError, match=r"train\.ema is 1"):
        config(ema=1.0)


def test_in_place_it_is_the_models_and_afterwards_the_weights_are_back_to_the_bit() -> None:
    model = wander(1)
    average = Average(model, 0.9)
    move(model, 1)
    average.update(1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with average.in_place():
        assert not any(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    with pytest.raises(CheckpointError, match="another model"):
        average.load({"0": torch.zeros(3, 5)})


def numbers(folder: Path) -> list[dict[str, Any]]:
    timed = ("seconds", "tokens_per_second", "memory_bytes")
    return [{k: v for k, v in line.items() if k not in timed} for line in read_jsonl(folder / "metrics.jsonl")]


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "whole", ema=0.9)
    train(tmp_path / "parts", watcher=StopAt(23), ema=0.9)
    assert train(tmp_path / "parts", ema=0.9).is_finished
    assert numbers(tmp_path / "whole") == numbers(tmp_path / "parts")
    for name in ("model", "optimizer", "average"):
        files = [tmp_path / which / "checkpoints" / "40" / f"{name}.safetensors" for which in ("whole", "parts")]
        assert files[0].read_bytes() == files[1].read_bytes()

    train(tmp_path / "forgets", watcher=StopAt(23), ema=0.9)  # a planted fault: the average begins anew
    monkeypatch.setattr("cutaway.train.trainer.load_average", lambda path: None)
    train(tmp_path / "forgets", ema=0.9)
    assert numbers(tmp_path / "whole") != numbers(tmp_path / "forgets")


def test_it_leaves_the_training_as_it_is_and_is_what_is_measured_and_exported(tmp_path: Path) -> None:
    train(tmp_path / "without")
    objective, exported = ToyObjective(), {}

    def export(model: torch.nn.Module) -> None:
        exported.update({name: tensor.detach().clone() for name, tensor in model.named_parameters()})

    run = run_in(tmp_path / "with")
    trainer = Trainer(objective, config(ema=0.9), run, ALONE, export=export)
    outcome = trainer.train()
    own, averaged = numbers(tmp_path / "without"), numbers(tmp_path / "with")
    assert [line["loss"] for line in own] == [line["loss"] for line in averaged]
    at = [(a, b) for a, b in zip(own, averaged, strict=True) if "validation_loss" in a]
    assert [a["validation_loss"] for a, _ in at] == [b["loss_without_ema"] for _, b in at]
    assert all(b["validation_loss"] != b["loss_without_ema"] for _, b in at)
    assert outcome.validation is not None
    assert outcome.validation.loss_nats == min(b["validation_loss"] for _, b in at)
    kept = load_file(run.checkpoints_folder / str(outcome.state.best_step) / "average.safetensors")
    for name, parameter in objective.model.named_parameters():
        assert torch.equal(exported[name], kept[name])
        assert torch.equal(exported[name], parameter)
    assert not (tmp_path / "without" / "checkpoints" / "40" / "average.safetensors").exists()


def test_an_average_that_changed_on_the_disk_is_refused(tmp_path: Path) -> None:
    train(tmp_path, watcher=StopAt(23), ema=0.9)
    file = list_checkpoints(tmp_path / "checkpoints")[-1] / "average.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"average\.safetensors has changed"):
        train(tmp_path, ema=0.9)


class Painter(ToyObjective):
    """Measures two numbers more and paints one byte."""

    def validate(self, model: torch.nn.Module, max_tokens: int | None = None) -> Validation:
        found = super().validate(model)
        return Validation(found.loss_nats, None, 16, {"psnr_db": -10 * math.log10(found.loss_nats)})

    def sample(self, model: torch.nn.Module, step: int) -> Sample:
        return Sample("eight seeds", picture=bytes([step]))


def test_pictures_are_files_beside_the_samples_and_other_numbers_are_columns(tmp_path: Path) -> None:
    train(tmp_path, Painter(), StopAt(23))
    (tmp_path / "pictures" / "40.png").write_bytes(b"of a session whose checkpoint was lost")
    train(tmp_path, Painter())
    run = RunFolder(tmp_path)
    steps = [10, 20, 30, 40]
    assert [line["picture"] for line in run.samples()] == [f"pictures/{step}.png" for step in steps]
    assert [(tmp_path / line["picture"]).read_bytes() for line in run.samples()] == [bytes([step]) for step in steps]
    assert [line["step"] for line in run.metrics() if "psnr_db" in line] == steps
    assert not any("bits_per_byte" in line for line in run.metrics())
