"""Samplers against the schedulers of diffusers, and against a distribution whose velocity is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cutaway.base.errors import ConfigError
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.guidance import Guided
from cutaway.diffusion.paths import DDPMPath, FlowPath, Path
from cutaway.diffusion.sampler import SAMPLERS, Predict, Step, draw, even_times

# diffusers gives tensors to numpy in a way that numpy warns of
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

B, C, Y, X = 2, 3, 6, 5


class Toy(nn.Module):
    """A small convolutional model of x, a time between 0 and 1 and a label."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(C, 8, 3, padding=1), nn.Conv2d(8, C, 3, padding=1)
        self.labels = nn.Embedding(4, 8)

    def forward(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        hidden = self.first(x) + torch.sin(5 * t).view(-1, 1, 1, 1)
        if condition is not None:
            assert condition.label_B is not None
            hidden = hidden + self.labels(condition.label_B)[:, :, None, None]
        return self.last(torch.tanh(hidden))


def noise() -> Tensor:
    return torch.randn(B, C, Y, X, generator=torch.Generator().manual_seed(1))


def last(steps: Any) -> Tensor:
    return list(steps)[-1].x


def theirs(scheduler: Any, model: Callable[[Tensor, Tensor], Tensor], time: Callable[[float], float]) -> Tensor:
    """Sample with a scheduler of diffusers; `time` turns its noise level into ours."""
    x = noise()
    for at in scheduler.timesteps:
        if scheduler.step_index is None:
            scheduler._init_step_index(at)
        level = float(scheduler.sigmas[scheduler.step_index])
        x = scheduler.step(model(x, torch.full((B,), time(level))), at, x).prev_sample
    return x


@torch.no_grad()
@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm++"])
def test_equals_the_flow_schedulers_of_diffusers(sampler: str, guidance: float) -> None:
    import diffusers

    steps = 17
    if sampler == "dpm++":
        scheduler = diffusers.DPMSolverMultistepScheduler(
            use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=1.0
        )
    else:
        scheduler = {
            "euler": diffusers.FlowMatchEulerDiscreteScheduler,
            "heun": diffusers.FlowMatchHeunDiscreteScheduler,
        }[sampler]()
    scheduler.set_timesteps(steps)
    if sampler == "dpm++":
        scheduler.timesteps = scheduler.sigmas[:-1] * 1000  # theirs are cut to whole numbers, which may coincide
    model = Toy()
    told, nothing = Condition(label_B=torch.tensor([1, 2])), Condition(label_B=torch.tensor([3]))
    guided = Guided(model, told, nothing, guidance)

    def by_hand(x: Tensor, t: Tensor) -> Tensor:
        without = model(x, t, Condition(label_B=torch.tensor([3, 3])))
        return without + guidance * (model(x, t, told) - without)

    expected = theirs(scheduler, lambda x, t: -by_hand(x, t), lambda level: 1 - level)
    times = 1 - scheduler.sigmas.double().unique_consecutive()
    assert len(times) == steps + 1
    got = last(draw(guided, noise(), FlowPath(), sampler, times))
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("steps", [10, 20])
def test_equals_the_diffusion_schedulers_of_diffusers(steps: int) -> None:
    import diffusers

    model = Toy()

    def time(level: float) -> float:
        """Our path goes through the same mixtures of picture and noise: alpha / sigma = tan(pi t / 2)."""
        return 2 / math.pi * math.atan2(1.0, level)

    solver = diffusers.DPMSolverMultistepScheduler(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1)
    solver.set_timesteps(steps)
    times = torch.tensor([time(float(level)) for level in solver.sigmas], dtype=torch.float64)
    expected = theirs(solver, model, time)
    got = last(draw(model, noise(), DDPMPath(), "dpm++", times))
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()

    ddim = diffusers.DDIMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=False, set_alpha_to_one=True)
    ddim.set_timesteps(steps)
    levels = [math.sqrt(1 / float(ddim.alphas_cumprod[at]) - 1) for at in ddim.timesteps]
    x = noise()
    for at, level in zip(ddim.timesteps, levels, strict=True):
        x = ddim.step(model(x, torch.full((B,), time(level))), at, x).prev_sample
    got = last(draw(model, noise(), DDPMPath(), "euler", torch.tensor([*map(time, levels), 1.0], dtype=torch.float64)))
    assert (got - x).abs().max() < 1e-5 * x.abs().max()


MEAN, DEVIATION = 0.7, 0.4
"""Of the pictures, where each is one number, normally distributed."""


def exact(path: Path) -> Predict:
    """Return the best prediction: with normal pictures, everything given x is normal too."""

    def predict(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = path.alpha(t)[:, None], path.sigma(t)[:, None]
        variance = alpha**2 * DEVIATION**2 + sigma**2
        picture = MEAN + alpha * DEVIATION**2 / variance * (x - alpha * MEAN)
        direction = sigma / variance * (x - alpha * MEAN)
        return path.target(picture, direction, t)

    return predict


def carried(path: Path, x: Tensor, begin: float, end: float) -> Tensor:
    """Return where the flow carries x: the same number of deviations from the mean."""
    (a, s), (b, r) = ((path.alpha(t), path.sigma(t)) for t in torch.tensor([begin, end]).double())
    return b * MEAN + (x - a * MEAN) * ((b**2 * DEVIATION**2 + r**2) / (a**2 * DEVIATION**2 + s**2)).sqrt()


@pytest.mark.parametrize("path", [FlowPath(), DDPMPath()])
@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2), ("dpm++", 2)])
def test_converges_to_the_flow_of_a_normal_distribution(path: Path, sampler: str, order: int) -> None:
    x = torch.linspace(-2.5, 2.5, 7, dtype=torch.float64)[:, None]
    errors = []
    for steps in (40, 80, 160):
        times = torch.linspace(0.1, 0.9, steps + 1, dtype=torch.float64)
        got = last(draw(exact(path), x, path, sampler, times))
        errors.append(float((got - carried(path, x, 0.1, 0.9)).abs().max()))
    measured = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert errors[-1] < (1e-2 if order == 1 else 2e-4)
    assert measured[-1] == pytest.approx(order, abs=0.1), f"order {measured} from errors {errors}"


@pytest.mark.parametrize("path", [FlowPath(), DDPMPath()])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_from_pure_noise_come_pictures(path: Path, sampler: str) -> None:
    x = torch.linspace(-2.5, 2.5, 7, dtype=torch.float64)[:, None]
    got = last(draw(exact(path), x, path, sampler, even_times(path, 100)))
    torch.testing.assert_close(got, carried(path, x, path.first, 1.0), rtol=0, atol=0.02)


@pytest.mark.parametrize("path", [FlowPath(), DDPMPath()])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_picture_is_found_from_anywhere(path: Path, sampler: str) -> None:
    """A model that always expects the same picture ends at exactly it, however few the steps."""
    picture = torch.rand(1, C, Y, X, generator=torch.Generator().manual_seed(2)).double()

    def predict(x: Tensor, t: Tensor) -> Tensor:
        reading = path.from_picture(picture.expand_as(x), x, t)
        return path.target(reading.picture, reading.noise, t)

    for steps in (1, 2, 5):
        for step in (taken := list(draw(predict, noise().double(), path, sampler, even_times(path, steps)))):
            torch.testing.assert_close(step.picture, picture.expand(B, -1, -1, -1), rtol=0, atol=1e-9)
        assert len(taken) == steps
        torch.testing.assert_close(taken[-1].x, picture.expand(B, -1, -1, -1), rtol=0, atol=1e-9)


@torch.no_grad()
def test_each_step_can_be_looked_at_and_calls_are_as_told() -> None:
    model, calls = Toy(), []

    def predict(x: Tensor, t: Tensor) -> Tensor:
        calls.append(float(t[0]))
        return model(x, t)

    for sampler, expected in (("euler", 4), ("heun", 7), ("dpm++", 4)):
        calls.clear()
        times = even_times(FlowPath(), 4)
        steps: list[Step] = list(draw(predict, noise(), FlowPath(), sampler, times))
        assert [step.t for step in steps] == times[1:].tolist()
        assert len(calls) == expected
        assert all(step.x.shape == step.picture.shape == noise().shape for step in steps)
        assert torch.equal(steps[-1].x, steps[-1].picture), "the last step goes to the expected picture"
        assert len({step.x.data_ptr() for step in steps}) == 4, "each step keeps its own numbers"


@torch.no_grad()
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_mended_stays(sampler: str) -> None:
    """As inpainting does it: the upper rows are those of a picture, as noisy as the step is."""
    path, start, picture = FlowPath(), noise(), torch.rand(B, C, Y, X)

    def mend(x: Tensor, t: Tensor) -> Tensor:
        known = path.noised(picture, start, t.to(x))
        return torch.cat([known[:, :, :3], x[:, :, 3:]], dim=2)

    end = last(draw(Toy(), start, path, sampler, even_times(path, 5), mend))
    torch.testing.assert_close(end[:, :, :3], picture[:, :, :3])
    assert not torch.allclose(end[:, :, 3:], picture[:, :, 3:], atol=0.1)


def test_even_times() -> None:
    assert torch.equal(even_times(FlowPath(), 4), torch.tensor([0, 0.25, 0.5, 0.75, 1]).double())
    assert even_times(FlowPath(), 3, start=0.4)[0] == 0.4
    assert even_times(DDPMPath(), 3)[0] == DDPMPath.first
    assert even_times(DDPMPath(), 3)[-1] == 1


def test_a_wrong_name_and_times_that_fall() -> None:
    with pytest.raises(ConfigError, match=r"no sampler 'eular'; .*did you mean euler"):
        draw(Toy(), noise(), FlowPath(), "eular", even_times(FlowPath(), 2))
    with pytest.raises(ConfigError, match="must be two or more and rise"):
        draw(Toy(), noise(), FlowPath(), "euler", torch.tensor([0.5, 0.2]))
