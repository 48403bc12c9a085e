"""The loop: it learns, stops when asked, resumes bit for bit, and says what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toy import ALONE, StopAt, ToyObjective, config, run_in, train

from cutaway.base.errors import CheckpointError, CutawayError, NonFiniteError
from cutaway.base.objective import Validation
from cutaway.base.runs import read_jsonl
from cutaway.train.checkpoint import list_checkpoints, load_checkpoint, model_tensors, optimizer_tensors, restore
from cutaway.train.trainer import Trainer


def numbers(folder: Path) -> list[dict[str, Any]]:
    """Everything recorded but the time and the memory it took."""
    timed = ("seconds", "tokens_per_second", "memory_bytes")
    return [{k: v for k, v in line.items() if k not in timed} for line in read_jsonl(folder / "metrics.jsonl")]


def test_it_learns_and_records(tmp_path: Path) -> None:
    outcome = train(tmp_path, steps=120)
    lines = numbers(tmp_path)
    assert [line["step"] for line in lines] == list(range(1, 121))
    assert lines[-1]["validation_loss"] < 0.8 * lines[9]["validation_loss"]
    assert outcome.is_finished
    assert outcome.validation is not None
    assert outcome.validation.loss_nats == min(line["validation_loss"] for line in lines if "validation_loss" in line)
    assert set(lines[9]["layer_grad_norms"]) == set(lines[9]["layer_update_norms"]) == {"0", "3", "5"}
    samples = read_jsonl(tmp_path / "samples.jsonl")
    assert [sample["step"] for sample in samples] == list(range(10, 121, 10))
    kept = [int(path.name) for path in list_checkpoints(tmp_path / "checkpoints")]
    assert sorted({120, outcome.state.best_step}) == kept


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumed_equals_uninterrupted_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    train(tmp_path / "whole", optimizer=optimizer)
    for stop in (7, 23):
        outcome = train(tmp_path / "parts", watcher=StopAt(stop), optimizer=optimizer)
        assert not outcome.is_finished
        assert outcome.state.step == stop + 1 or outcome.state.step == stop
    assert train(tmp_path / "parts", optimizer=optimizer).is_finished
    assert numbers(tmp_path / "whole") == numbers(tmp_path / "parts")
    for name in ("model", "optimizer"):
        files = [tmp_path / which / "checkpoints" / "40" / f"{name}.safetensors" for which in ("whole", "parts")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_resume_that_forgets_the_optimizer_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: a planted fault, the optimizer's memory lost on the way."""
    train(tmp_path / "whole")
    train(tmp_path / "parts", watcher=StopAt(23))
    monkeypatch.setattr("cutaway.train.trainer.restore", lambda m, o, w, memories: m.load_state_dict(w))
    train(tmp_path / "parts")
    assert numbers(tmp_path / "whole") != numbers(tmp_path / "parts")


def test_micro_steps_add_up_to_the_step(tmp_path: Path) -> None:
    trainers = []
    for accumulate in (1, 4):
        trainer = Trainer(
            ToyObjective(dropout=0.0), config(accumulate=accumulate), run_in(tmp_path / str(accumulate)), ALONE
        )
        trainer.train()
        trainers.append(trainer)
    losses = [[line["loss"] for line in numbers(tmp_path / name)] for name in ("1", "4")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_best_weights_come_back_when_the_last_are_worse(tmp_path: Path) -> None:
    class Overfits(ToyObjective):
        count = 0

        def validate(self, model: Any, max_tokens: int | None = None) -> Any:
            true = super().validate(model)
            if max_tokens is None:
                return true
            self.count += 1
            return type(true)(float(abs(self.count - 2)), 0.0, 1)

    exported: list[dict[str, torch.Tensor]] = []
    objective = Overfits()

    def export(model: torch.nn.Module) -> None:
        exported.append({name: tensor.detach().clone() for name, tensor in model.named_parameters()})

    trainer = Trainer(objective, config(), run_in(tmp_path), ALONE, export=export)
    outcome = trainer.train()
    assert outcome.state.best_step == 20
    assert len(exported) == 2
    for name, tensor in objective.model.named_parameters():
        assert torch.equal(tensor, exported[-1][name])


def test_a_loss_that_is_not_a_number_stops_and_names_the_first_tensor(tmp_path: Path) -> None:
    objective = ToyObjective()
    objective.poison_at = 8 * 25
    with pytest.raises(NonFiniteError) as caught:
        train(tmp_path, objective)
    message = str(caught.value)
    assert "step 26" in message
    assert "output of 0" in message
    assert str(tmp_path / "checkpoints" / "20") in message
    assert load_checkpoint(list_checkpoints(tmp_path / "checkpoints")[-1])[0].step == 20


def test_a_broken_weight_is_named(tmp_path: Path) -> None:
    objective = ToyObjective()
    with torch.no_grad():
        objective.model.get_parameter("3.bias")[4] = float("nan")
    with pytest.raises(NonFiniteError, match=r"weight 3\.bias"):
        train(tmp_path, objective)


@pytest.mark.parametrize("damage", ["truncate", "flip", "missing", "state"])
def test_a_damaged_checkpoint_is_refused(damage: str, tmp_path: Path) -> None:
    train(tmp_path, watcher=StopAt(23))
    last = list_checkpoints(tmp_path / "checkpoints")[-1]
    weights = last / "model.safetensors"
    data = weights.read_bytes()
    if damage == "truncate":
        weights.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "missing":
        weights.unlink()
    else:
        (last / "state.json").write_text('{"step": ')
    with pytest.raises(CheckpointError, match="delete that folder to go on from step 20"):
        train(tmp_path)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    train(tmp_path, watcher=StopAt(23))
    other = ToyObjective()
    other.model.append(torch.nn.Linear(3, 3))
    with pytest.raises(CheckpointError, match="of another model"):
        train(tmp_path, other)


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    import cutaway.train.checkpoint as checkpoint

    real, calls = checkpoint.save_tensors, []

    def full(tensors: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) > 4:
            path.write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_tensors", full)
    with pytest.raises(CutawayError, match="the disk is full"):
        train(tmp_path)
    monkeypatch.setattr(checkpoint, "save_tensors", real)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir() if not path.name.startswith(".")] in (
        [["10", "20"], ["20", "10"], ["20"]]
    )
    assert train(tmp_path).is_finished
    train(tmp_path / "whole")
    assert numbers(tmp_path) == numbers(tmp_path / "whole")


@pytest.mark.parametrize("clip_norm", [0.0, 0.01])
def test_norms_by_layer_are_those_of_the_gradient_and_of_the_update_made(clip_norm: float, tmp_path: Path) -> None:
    objective = ToyObjective(dropout=0.0)
    trainer = Trainer(objective, config(clip_norm=clip_norm, optimizer="adamw"), run_in(tmp_path), ALONE)
    names = [name for name, _ in objective.model.named_parameters()]
    before = [p.detach().clone() for p in objective.model.parameters()]
    objective.loss(objective.model, objective.batch(0, 8)).backward()
    grads = [p.grad.clone() for p in objective.model.parameters() if p.grad is not None]
    objective.model.zero_grad()
    _, _, norm, layers = trainer.update(wants_layers=True)
    moved = [p.detach() - old for p, old in zip(objective.model.parameters(), before, strict=True)]
    assert norm == pytest.approx(float(torch.cat([g.flatten() for g in grads]).norm()), rel=1e-5)
    for key, tensors in (("layer_grad_norms", grads), ("layer_update_norms", moved)):
        for layer, value in layers[key].items():
            mine = [t.flatten() for name, t in zip(names, tensors, strict=True) if name.split(".")[0] == layer]
            assert value == pytest.approx(float(torch.cat(mine).norm()), rel=1e-5)


def test_a_long_gradient_is_shortened_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    objective = ToyObjective(dropout=0.0)
    trainer = Trainer(objective, config(clip_norm=0.01, optimizer="adamw"), run_in(tmp_path), ALONE)
    step = trainer.optimizers[0].step

    def look(*arguments: Any) -> Any:
        grads = [p.grad.flatten() for p in objective.model.parameters() if p.grad is not None]
        seen.append(float(torch.cat(grads).norm()))
        return step(*arguments)

    monkeypatch.setattr(trainer.optimizers[0], "step", look)
    _, _, norm, _ = trainer.update(wants_layers=False)
    assert norm > 0.01
    assert seen == [pytest.approx(0.01, rel=1e-4)]


@pytest.mark.slow
def test_patience_ends_a_run_that_gets_worse_and_keeps_its_best(tmp_path: Path) -> None:
    """Held-out losses made by hand: 5, 3, 4, 4, 4: with a patience of 3 the fifth measurement is the last."""

    def told(objective: ToyObjective, losses: list[float]) -> ToyObjective:
        remaining = iter(losses)
        objective.validate = lambda model, max_tokens=None: Validation(next(remaining), 1.0, 1)  # type: ignore[method-assign]
        return objective

    outcome = train(tmp_path / "whole", told(ToyObjective(), [5, 3, 4, 4, 4, 3.0]), steps=100, patience=3)
    assert outcome.is_finished
    assert outcome.ran_out_of_patience
    assert (outcome.state.step, outcome.state.best_step) == (50, 20)
    assert outcome.validation is not None
    kept = [int(path.name) for path in list_checkpoints(tmp_path / "whole" / "checkpoints")]
    assert kept == [20, 50]

    parts = tmp_path / "parts"
    train(parts, told(ToyObjective(), [5, 3, 4]), StopAt(35), steps=100, patience=3)
    assert train(parts, told(ToyObjective(), [4, 4, 3.0]), steps=100, patience=3).state.step == 50
    assert numbers(parts) == numbers(tmp_path / "whole")
    again = train(parts, told(ToyObjective(), [3.0]), steps=100, patience=3)  # killed before it could say so
    assert (again.is_finished, again.state.step) == (True, 50)

    without = train(tmp_path / "long", told(ToyObjective(), [5, 3, *[4] * 8, 3.0]), steps=100)
    assert (without.state.step, without.ran_out_of_patience) == (100, False)


def test_of_a_model_part_of_which_rests_only_the_rest_is_kept_and_moves(tmp_path: Path) -> None:
    def half() -> ToyObjective:
        objective = ToyObjective()
        objective.model[0].requires_grad_(False)  # type: ignore[index]
        return objective

    objective = half()
    before = objective.model[0].weight.clone()  # type: ignore[index]
    train(tmp_path / "whole", objective)
    assert torch.equal(objective.model[0].weight, before)  # type: ignore[index]
    for step in (path.name for path in list_checkpoints(tmp_path / "whole" / "checkpoints")):
        _, weights, memories = load_checkpoint(tmp_path / "whole" / "checkpoints" / step)
        assert set(weights) == {"3.weight", "3.bias", "5.weight", "5.bias"}
        assert {name.partition(":")[0] for name in memories} == set(weights)
    train(tmp_path / "parts", half(), StopAt(23))
    train(tmp_path / "parts", half())
    assert numbers(tmp_path / "whole") == numbers(tmp_path / "parts")
    with pytest.raises(CheckpointError, match="another model"):
        train(tmp_path / "parts", ToyObjective())


def test_what_an_optimizer_remembers_comes_back_in_the_weights_order_of_memory() -> None:
    """A fused optimizer takes the numbers as they lie; of a convolution with channels last they lie otherwise."""
    torch.manual_seed(0)
    models = [torch.nn.Conv2d(6, 4, 3).to(memory_format=torch.channels_last) for _ in range(2)]
    optimizers = [torch.optim.AdamW(model.parameters(), fused=True) for model in models]
    models[0](torch.randn(3, 6, 5, 5)).square().mean().backward()
    optimizers[0].step()
    memories = {key: value.contiguous() for key, value in optimizer_tensors(models[0], optimizers[:1]).items()}
    restore(models[1], optimizers[1:], model_tensors(models[0]), memories)
    for model, optimizer in zip(models, optimizers, strict=True):
        model.zero_grad()
        model(torch.ones(3, 6, 5, 5)).square().mean().backward()
        optimizer.step()
    assert torch.equal(models[0].weight, models[1].weight)
