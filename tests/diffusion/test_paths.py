"""Paths: their ends, their slopes against finite differences, and every way of saying a prediction against the others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cutaway.diffusion.config import PathConfig
from cutaway.diffusion.paths import DDPMPath, FlowPath, Path, Reading, build_path

B, C, Y, X = 3, 2, 5, 4
PATHS: list[Path] = [FlowPath(), DDPMPath()]
TIMES = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)


def pair() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    picture = torch.rand(B, C, Y, X, generator=random, dtype=torch.float64) * 2 - 1
    return picture, torch.randn(B, C, Y, X, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("path", PATHS)
def test_begins_as_noise_and_ends_as_the_picture(path: Path) -> None:
    picture, noise = pair()
    assert torch.equal(path.noised(picture, noise, torch.zeros(B)), noise)
    torch.testing.assert_close(path.noised(picture, noise, torch.ones(B)), picture, rtol=0, atol=0)
    assert path.alpha(torch.tensor(path.first)) < 0.007


def test_shares_are_those_of_the_formula() -> None:
    assert torch.equal(FlowPath().alpha(TIMES), TIMES)
    assert torch.equal(FlowPath().sigma(TIMES), 1 - TIMES)
    squares = DDPMPath().alpha(TIMES) ** 2 + DDPMPath().sigma(TIMES) ** 2
    torch.testing.assert_close(squares, torch.ones_like(TIMES))


def test_the_cosine_schedule_is_the_published_one() -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.sqrt()[:-1]
    t = 1 - (torch.arange(999) + 1) / 1000
    # Theirs has the offset 0.008: an offset of the time, hardly more.
    torch.testing.assert_close(DDPMPath().alpha(t), theirs, rtol=0, atol=0.013)


@pytest.mark.parametrize("path", PATHS)
def test_the_velocity_is_the_slope_of_the_path(path: Path) -> None:
    picture, noise = pair()
    step = 1e-6
    ahead, behind = (path.noised(picture, noise, TIMES + d) for d in (step, -step))
    torch.testing.assert_close(path.velocity(picture, noise, TIMES), (ahead - behind) / (2 * step), rtol=0, atol=1e-8)


@pytest.mark.parametrize("path", PATHS)
def test_picture_noise_and_velocity_say_the_same(path: Path) -> None:
    picture, noise = pair()
    x = path.noised(picture, noise, TIMES)
    truth = Reading(picture, noise, path.velocity(picture, noise, TIMES))
    readings = (
        path.from_picture(picture, x, TIMES),
        path.from_noise(noise, x, TIMES),
        path.from_velocity(truth.velocity, x, TIMES),
        path.read(path.target(picture, noise, TIMES), x, TIMES),
    )
    for reading in readings:
        for part in ("picture", "noise", "velocity"):
            torch.testing.assert_close(getattr(reading, part), getattr(truth, part), rtol=0, atol=1e-12)


def test_what_each_predicts() -> None:
    picture, noise = pair()
    assert torch.equal(FlowPath().target(picture, noise, TIMES), picture - noise)
    assert torch.equal(FlowPath().target(picture, noise, TIMES), FlowPath().velocity(picture, noise, TIMES))
    assert torch.equal(DDPMPath().target(picture, noise, TIMES), noise)


def test_one_time_for_all_rows_is_the_same_time_for_each() -> None:
    picture, noise = pair()
    for path in PATHS:
        one = path.noised(picture, noise, torch.tensor(0.3, dtype=torch.float64))
        each = path.noised(picture, noise, torch.full((B,), 0.3, dtype=torch.float64))
        assert torch.equal(one, each)


def test_pure_noise_is_read_without_infinities() -> None:
    picture, noise = pair()
    for path in PATHS:
        reading = path.read(path.target(picture, noise, torch.zeros(B)), noise, torch.zeros(B))
        assert all(part.isfinite().all() for part in (reading.picture, reading.noise, reading.velocity))


def test_a_path_by_its_name() -> None:
    assert isinstance(build_path(PathConfig()), FlowPath)
    assert isinstance(build_path(PathConfig(path="ddpm")), DDPMPath)
