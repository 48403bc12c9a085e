"""A transformer that got ready for a drawing answers as it did before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cutaway.base.errors import ShapeError
from cutaway.base.tap import listening
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.guidance import Guided
from diffusion.test_dit import CONFIG, condition, pictures, trained


@pytest.mark.parametrize("modulation", ["blocks", "shared"])
def test_it_answers_as_the_model_does(modulation: str) -> None:
    model = trained(replace(CONFIG, modulation=modulation))
    x_BCYX, _ = pictures()
    ready = model.ready(condition())
    for time in (0.0, 0.3, 0.3, 0.7, 0.3):
        t_B = torch.full((3,), time)
        assert torch.equal(ready(x_BCYX, t_B), model(x_BCYX, t_B, condition()))
    mixed_B = torch.tensor([0.1, 0.2, 0.3])
    assert torch.equal(ready(x_BCYX, mixed_B), model(x_BCYX, mixed_B, condition()))


def test_each_time_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = trained(CONFIG), []
    steering = model.steering
    monkeypatch.setattr(model, "steering", lambda t_B, told: asked.append(float(t_B[0])) or steering(t_B, told))
    ready = model.ready(condition())
    for time in (0.0, 0.5, 0.5, 1.0, 1.0):
        ready(pictures()[0], torch.full((3,), time))
    assert asked == [0.0, 0.5, 1.0]


def test_under_autocast_it_is_rounded_once() -> None:
    model = trained(CONFIG)
    x_BCYX, t_B = pictures()[0], torch.full((3,), 0.25)
    exact = model(x_BCYX, t_B, condition()).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ready = model.ready(condition())
        rounded, cast = ready(x_BCYX, t_B), model(x_BCYX, t_B, condition()).detach()
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert ready.body.blocks[0].mlp.up_proj.weight.dtype is torch.bfloat16
    assert ready.body.modulations is model.modulations
    assert rounded.dtype is torch.float32
    for other in (rounded, cast.float()):
        assert 0 < (other - exact).abs().mean() < 0.03 * exact.abs().mean()


def test_who_listens_hears_the_model() -> None:
    model = trained(CONFIG)
    ready, heard = model.ready(condition()), []
    with listening(lambda name, value: heard.append(name)):
        ready(pictures()[0], torch.full((3,), 0.25))
    assert "steering_BC" in heard
    assert "cross.weights_BHPT" in heard


def test_wrong_sizes_are_said() -> None:
    ready = DiT(CONFIG).ready(Condition())
    with pytest.raises(ShapeError, match="the model paints"):
        ready(torch.zeros(1, 3, 8, 8), torch.zeros(1))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_guidance_lets_it_get_ready(scale: float) -> None:
    model = trained(CONFIG)
    nothing = Condition(*(None if part is None else part[:1] for part in condition().parts))
    asked: list[tuple[Tensor, Tensor]] = [(pictures()[0], torch.full((3,), time)) for time in (0.2, 0.4)]
    guided = Guided(model, condition(), nothing, scale)
    slow = [guided(x_BCYX, t_B).detach() for x_BCYX, t_B in asked]  # with gradients, it asks the model itself
    assert not guided._ready
    with torch.no_grad():
        quick = [guided(x_BCYX, t_B) for x_BCYX, t_B in asked]
    assert len(guided._ready) == 1
    for a, b in zip(slow, quick, strict=True):
        assert torch.equal(a, b)
