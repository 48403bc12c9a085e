"""What is recorded of a model's inside: counts as NumPy counts, the numbers there were, the same after a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import ALONE, StopAt, ToyObjective, config, run_in, train

from cutaway.base.runs import read_jsonl
from cutaway.base.snapshots import KINDS, bin_edges, read_attention, read_histograms
from cutaway.train.checkpoint import load_checkpoint
from cutaway.train.snapshots import histogram
from cutaway.train.trainer import Trainer


def full_counts(line: dict[str, Any]) -> np.ndarray:
    counts = np.zeros(len(bin_edges()) - 1, dtype=int)
    counts[line["first"] : line["first"] + len(line["counts"])] = line["counts"]
    return counts


@pytest.mark.parametrize("scale", [1e-14, 1e-9, 1e-3, 1.0, 50.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_counts_are_those_of_numpy(scale: float, dtype: torch.dtype) -> None:
    numbers = (torch.randn(70_001, generator=torch.Generator().manual_seed(1)) * scale).to(dtype)
    found = histogram([numbers[:123], numbers[123:].view(2, -1)])
    values, edges = numbers.float().double().numpy(), bin_edges()
    if dtype is not torch.bfloat16:  # its numbers are few: many lie on edges, and NumPy's bins lean to the right
        assert (full_counts(found) == np.histogram(values, edges)[0]).all()
    assert found["below"] == (values <= edges[0]).sum()
    assert found["above"] == (values >= edges[-1]).sum()
    assert found["total"] == len(values) == full_counts(found).sum() + found["below"] + found["above"]
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-9, abs=1e-12 * scale)
    assert found["std"] == pytest.approx(values.std(), rel=1e-9)
    assert (found["lowest"], found["highest"]) == (values.min(), values.max())


def test_a_number_on_an_edge_counts_to_the_bin_farther_from_zero() -> None:
    edges = bin_edges()
    middle = len(edges) // 2
    found = full_counts(histogram([torch.tensor([edges[middle + 40], -edges[middle + 40]])]))
    assert found[middle + 40] == 1
    assert found[len(found) - 1 - (middle + 40)] == 1


def test_zeros_tiny_huge_and_undefined_numbers_have_their_place() -> None:
    numbers = torch.tensor([0.0, -0.0, 1e-44, -1e-20, 256.0, -1e30, 3e38, float("inf"), -float("inf"), float("nan")])
    found = histogram([numbers])
    assert full_counts(found)[len(bin_edges()) // 2 - 1] == 4
    assert (found["above"], found["below"], found["not_finite"], found["total"]) == (2, 1, 3, 10)
    assert found["mean"] is None
    assert histogram([torch.empty(0)])["counts"] == []


def test_weights_gradients_updates_and_activations_are_those_there_were(tmp_path: Path) -> None:
    """Against a run made by hand: gradients by autograd, the step by the optimizer, activations by calling the parts."""
    train(tmp_path, ToyObjective(dropout=0.0), steps=10, optimizer="adamw", keep_checkpoints="all", clip_norm=0.01)
    folder, edges = tmp_path / "snapshots", bin_edges()
    objective = ToyObjective(dropout=0.0)
    steps = {"weights": [0, 10], "activations": [0, 10], "gradients": [10], "updates": [10]}
    recorded = {kind: read_histograms(folder, kind) for kind in KINDS}
    assert {kind: found.steps for kind, found in recorded.items()} == steps

    def expect(kind: str, step: int, layer: str, tensors: list[torch.Tensor]) -> None:
        found = recorded[kind]
        at = found.steps.index(step), found.layers.index(layer)
        numbers = torch.cat([tensor.detach().flatten() for tensor in tensors]).double().numpy()
        assert (found.counts[at] == np.histogram(numbers, found.edges)[0]).all(), (kind, step, layer)
        assert found.by_layer["total"][at] == len(numbers)
        assert found.by_layer["std"][at] == pytest.approx(numbers.std(), rel=1e-6)

    assert recorded["weights"].edges[0] >= edges[0]
    initial = {name: p.detach().clone() for name, p in objective.model.named_parameters()}
    _, weights, _ = load_checkpoint(tmp_path / "checkpoints" / "10")
    for layer in ("0", "3", "5"):
        expect("weights", 0, layer, [t for name, t in initial.items() if name.split(".")[0] == layer])
        expect("weights", 10, layer, [t for name, t in weights.items() if name.split(".")[0] == layer])
    objective.model.load_state_dict(weights)
    x = objective.probe.inputs
    for name, part in objective.model.named_children():
        x = part(x)
        expect("activations", 10, name, [x])


def test_gradients_are_those_before_they_are_shortened_and_updates_those_made(tmp_path: Path) -> None:
    objective = ToyObjective(dropout=0.0)
    trainer = Trainer(
        objective, config(steps=1, clip_norm=0.01, optimizer="adamw", validate_every=1), run_in(tmp_path), ALONE
    )
    before = {name: p.detach().clone() for name, p in objective.model.named_parameters()}
    objective.loss(objective.model, objective.batch(0, 8)).backward()
    grads = {name: p.grad.clone() for name, p in objective.model.named_parameters() if p.grad is not None}
    objective.model.zero_grad()
    trainer.train()
    after = dict(objective.model.named_parameters())
    for kind, tensors in (("gradients", grads), ("updates", {n: after[n].detach() - before[n] for n in before})):
        found = read_histograms(tmp_path / "snapshots", kind)
        for place, layer in enumerate(found.layers):
            mine = torch.cat([t.flatten() for name, t in tensors.items() if name.split(".")[0] == layer])
            assert (found.counts[0, place] == np.histogram(mine.double().numpy(), found.edges)[0]).all(), (kind, layer)


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    train(tmp_path / "whole", keep_checkpoints="all")
    for stop in (7, 23):
        train(tmp_path / "parts", watcher=StopAt(stop))
    lines = tmp_path / "parts" / "snapshots" / "histograms.jsonl"
    with lines.open("a") as file:  # as if it had been killed between a snapshot and its checkpoint
        file.write(lines.read_text().splitlines()[-1].replace('"step": 20', '"step": 30') + "\n")
    (tmp_path / "parts" / "snapshots" / "attention" / "30.npy").write_bytes(b"half")
    train(tmp_path / "parts")
    whole, parts = (tmp_path / name / "snapshots" for name in ("whole", "parts"))
    assert read_jsonl(whole / "histograms.jsonl") == read_jsonl(parts / "histograms.jsonl")
    assert read_attention(parts).files.keys() == read_attention(whole).files.keys()
    assert read_attention(parts).tokens == ["one", "two"]


def test_a_compiled_model_is_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_really = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compile_really(self, backend="eager"))
    for compiled in ("on", "off"):
        train(tmp_path / compiled, ToyObjective(dropout=0.0), steps=20, compile=compiled)
    lines = [read_jsonl(tmp_path / compiled / "snapshots" / "histograms.jsonl") for compiled in ("on", "off")]
    assert lines[0] == lines[1]
    assert {line["kind"] for line in lines[0]} == set(KINDS)


def test_looking_inside_changes_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "seen")
    monkeypatch.setattr(Trainer, "look_inside", lambda self: None)
    train(tmp_path / "unseen")
    files = [tmp_path / name / "checkpoints" / "40" / "model.safetensors" for name in ("seen", "unseen")]
    assert files[0].read_bytes() == files[1].read_bytes()
