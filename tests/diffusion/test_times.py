"""Times: their distribution, their evenness in every batch, and that they depend on seed and position alone."""

from __future__ import annotations

import pytest
import torch

from cutaway.base.errors import ConfigError
from cutaway.diffusion.config import PathConfig
from cutaway.diffusion.times import even_numbers, logit_normal, spread


def test_a_time_depends_on_its_position_alone() -> None:
    together = even_numbers(1000, 64, seed=3)
    apart = torch.cat([even_numbers(1000 + 16 * i, 16, seed=3) for i in range(4)])
    assert torch.equal(together, apart)
    assert not torch.equal(together, even_numbers(1000, 64, seed=4))


def test_late_positions_are_as_good_as_early_ones() -> None:
    for first in (0, 10**6, 10**9):
        u = even_numbers(first, 4096, seed=0)
        assert u.min() >= 0
        assert u.max() < 1
        ranks = (torch.arange(4096) + 0.5) / 4096
        assert (u.sort().values - ranks).abs().max() < 1e-3, "independent throws would be off by 0.02"


def test_every_batch_is_even() -> None:
    for first in range(0, 640, 64):
        u = even_numbers(first, 64, seed=1).sort().values
        gaps = torch.diff(torch.cat([u, u[:1] + 1]))
        assert gaps.max() < 2.7 / 64, "independent throws leave gaps of about 5 / 64"
        assert gaps.min() > 0.3 / 64


def test_logit_normal_times_have_normal_logits() -> None:
    t = logit_normal(even_numbers(0, 20_000, seed=0), mean=-0.5, deviation=0.8)
    logits = torch.logit(t.double())
    assert abs(logits.mean() + 0.5) < 0.003
    assert abs(logits.std() - 0.8) < 0.003
    # a normal number is below its mean + deviation 84.13 % of the time
    assert abs((logits < 0.3).double().mean() - 0.8413) < 0.002


def test_times_stay_inside() -> None:
    u = torch.tensor([0.0, 0.5, 1 - 2**-24])
    assert torch.equal(spread(u, PathConfig()), u)
    t = logit_normal(u)
    assert t[1] == 0.5
    assert 0 < t[0] < t[1] < t[2] < 1


def test_a_recipe_moves_and_widens_its_times() -> None:
    u = even_numbers(0, 4096, seed=0)
    middle = spread(u, PathConfig(times="logit_normal"))
    early = spread(u, PathConfig(times="logit_normal", times_mean=-0.8, times_deviation=1.2))
    assert torch.equal(middle, logit_normal(u))
    assert torch.equal(early, logit_normal(u, -0.8, 1.2))
    assert (early < 0.2).float().mean() > 3 * (middle < 0.2).float().mean()
    with pytest.raises(ConfigError, match="times_deviation 0; expected"):
        PathConfig(times="logit_normal", times_deviation=0)
