"""Denoising: batches as a function of their position, dropped conditions, the loss by its formula, what is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toy import ALONE, StopAt, config, run_in

from cutaway.base.objective import Objective
from cutaway.base.runs import RunFolder
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import PathConfig, UNetConfig
from cutaway.diffusion.denoising import FIXED_TIMES, Denoising, LabelConditioner
from cutaway.diffusion.pictures import PictureBatch
from cutaway.diffusion.times import even_numbers, logit_normal
from cutaway.diffusion.unet import UNet
from cutaway.train.trainer import Trainer
from cutaway.train.watch import Watcher

B, C, Y, X = 6, 2, 8, 8
N_LABELS = 3


class Toys:
    """Forty pictures: picture i is all i / 40, its label i mod 3; ten more are held out."""

    size, channels, n_labels, count = Y, C, N_LABELS, 40
    names = ("none", "one", "two")
    hash = "toys"
    notes = ()

    def batch(self, first: int, count: int) -> PictureBatch:
        return self.of([i % self.count for i in range(first, first + count)])

    def of(self, numbers: list[int]) -> PictureBatch:
        x = torch.tensor(numbers).float()[:, None, None, None].expand(-1, C, Y, X) / self.count
        return PictureBatch(x.clone(), [str(i) for i in numbers], torch.tensor(numbers) % N_LABELS)

    @property
    def held_out(self) -> PictureBatch:
        return self.of(list(range(10)))


class Telltale(nn.Module):
    """Predicts zero everywhere and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.asked: list[tuple[Tensor, Tensor, Condition]] = []

    def forward(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        assert condition is not None
        self.asked.append((x, t, condition))
        return self.zero * x


def make(model: nn.Module | None = None, **settings: object) -> Denoising:
    config = PathConfig(**settings)  # type: ignore[arg-type]
    return Denoising(model or Telltale(), Toys(), config, seed=5, conditioner=LabelConditioner(N_LABELS))


def test_is_an_objective() -> None:
    objective = make()
    assert isinstance(objective, Objective)
    assert (objective.sequences_per_epoch, objective.tokens_per_sequence) == (40, 1)
    assert objective.probe is None
    assert objective.sample(objective.model, 0).text == ""


def test_a_picture_s_noise_depends_on_its_position_alone() -> None:
    objective = make(drop_condition=0.5)
    together, later = objective.batch(100, B), objective.batch(100 + B // 2, B - B // 2)
    for part in ("picture_BCYX", "noise_BCYX", "t_B", "label_B", "keep_B"):
        assert torch.equal(getattr(together, part)[B // 2 :], getattr(later, part))
    assert together.captions[B // 2 :] == later.captions
    again = objective.batch(100 + 40, B)
    assert torch.equal(again.picture_BCYX, together.picture_BCYX), "the pictures repeat"
    assert not torch.equal(again.noise_BCYX, together.noise_BCYX), "the noise never does"


def test_noise_is_normal_and_conditions_are_dropped_as_often_as_told() -> None:
    batch = make(drop_condition=0.1).batch(0, 2000)
    assert abs(batch.noise_BCYX.mean()) < 0.005
    assert abs(batch.noise_BCYX.std() - 1) < 0.005
    assert 0.08 < (~batch.keep_B).float().mean() < 0.12
    assert make(drop_condition=0.0).batch(0, 200).keep_B.all()
    assert not make(drop_condition=1.0).batch(0, 200).keep_B.any()


@pytest.mark.parametrize("path", ["flow", "ddpm"])
def test_the_loss_is_the_formula(path: str) -> None:
    objective = make(path=path, drop_condition=0.5)
    batch = objective.batch(7, B)
    loss = objective.loss(objective.model, batch)
    x, t, condition = objective.model.asked[-1]  # type: ignore[union-attr]
    for b in range(B):
        alpha, sigma = objective.path.alpha(t[b]), objective.path.sigma(t[b])
        torch.testing.assert_close(x[b], alpha * batch.picture_BCYX[b] + sigma * batch.noise_BCYX[b])
    target = batch.noise_BCYX if path == "ddpm" else batch.picture_BCYX - batch.noise_BCYX
    torch.testing.assert_close(loss, target.square().mean())
    expected = torch.where(batch.keep_B, batch.label_B, torch.full_like(batch.label_B, N_LABELS))
    assert torch.equal(condition.label_B, expected)
    assert 0 < batch.keep_B.sum() < B


def test_held_out_pictures_get_the_same_noise_every_time_and_in_every_run() -> None:
    one, other = make(), Denoising(Telltale(), Toys(), PathConfig(), 99, LabelConditioner(N_LABELS))
    first, again, elsewhere = (objective.validate(objective.model) for objective in (one, one, other))
    assert first == again == elsewhere
    n = 1 + len(FIXED_TIMES)
    asked = one.model.asked  # type: ignore[union-attr]
    assert len(asked) == 2 * n
    for (x, t, told), (x2, t2, _) in zip(asked[:n], asked[n:], strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(t, t2)
        assert torch.equal(told.label_B, Toys().held_out.label_B), "no condition is dropped"


def test_the_loss_at_each_fixed_time_is_that_of_the_time() -> None:
    """Of zero predicted velocity at t, the loss is the mean square of picture - noise: about 1 here, at any t."""
    objective = make()
    validation = objective.validate(objective.model)
    assert list(validation.more) == [f"loss_t{t}" for t in FIXED_TIMES]
    assert validation.bits_per_byte is None
    assert validation.n_targets == 10
    fixed = [t for _, t, _ in objective.model.asked][: len(FIXED_TIMES)]  # type: ignore[union-attr]
    for t, expected in zip(fixed, FIXED_TIMES, strict=True):
        assert torch.equal(t, torch.full((10,), expected))
    for loss in (validation.loss_nats, *validation.more.values()):
        assert 0.9 < loss < 1.2
    assert len({round(loss, 6) for loss in validation.more.values()}) == len(FIXED_TIMES), "each has noise of its own"


def test_a_short_measurement_is_of_the_first_pictures() -> None:
    objective = make()
    short = objective.validate(objective.model, max_tokens=4 * (1 + len(FIXED_TIMES)))
    assert short.n_targets == 4
    few = [x for x, _, _ in objective.model.asked]  # type: ignore[union-attr]
    objective.validate(objective.model)
    whole = [x for x, _, _ in objective.model.asked][len(few) :]  # type: ignore[union-attr]
    for a, b in zip(few, whole, strict=True):
        assert torch.equal(a, b[:4])


@pytest.mark.slow
def test_a_model_learns_to_denoise() -> None:
    torch.manual_seed(0)
    config = UNetConfig(size=Y, channels=C, width=16, multipliers=(1, 2), attention_from=0, n_labels=N_LABELS)
    objective = make(UNet(config), drop_condition=0.1)
    model = objective.model
    with torch.no_grad():
        before = objective.validate(model).loss_nats
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(40):
        objective.loss(model, objective.batch(16 * step, 16)).backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        after = objective.validate(model)
    assert after.loss_nats < 0.5 * before


def test_times_are_spread_as_the_recipe_says() -> None:
    usual, early = make(), make(times="logit_normal", times_mean=-1.0)
    u = even_numbers(64, 32, usual.seed)
    assert torch.equal(usual.batch(64, 32).t_B, u)
    assert torch.equal(early.batch(64, 32).t_B, logit_normal(u, -1.0))


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    def train(name: str, watcher: Watcher | None = None) -> bytes:
        torch.manual_seed(0)
        shape = UNetConfig(size=Y, channels=C, width=8, multipliers=(1, 2), attention_from=4, n_labels=N_LABELS)
        settings = config(steps=6, batch_size=4, validate_every=3)
        objective = make(UNet(shape), times="logit_normal")
        trainer = Trainer(objective, settings, run_in(tmp_path / name), ALONE, watcher)
        trainer.resume()
        trainer.train()
        return torch.cat([p.detach().flatten() for p in objective.model.parameters()]).numpy().tobytes()

    whole = train("whole")
    assert train("broken", StopAt(2)) != whole
    assert train("broken") == whole
    measured = RunFolder(tmp_path / "whole").metrics()[-1]
    assert {"validation_loss", "loss_t0.1", "loss_t0.9"} <= measured.keys()
