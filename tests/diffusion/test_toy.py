"""The field in the plane: the exact one is a mean over pairs and ends on the points; the learned one comes near it."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from cutaway.diffusion.toy import ExactField, Shape, arrows, follow, shape_points, train_field


def noise(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", get_args(Shape))
def test_shapes_lie_in_view(shape: Shape) -> None:
    points = shape_points(shape, 400)
    assert points.shape == (400, 2)
    assert points.abs().max() < 2.2
    assert points.std(dim=0).min() > 0.3
    assert torch.equal(points, shape_points(shape, 400))
    assert not torch.equal(points, shape_points(shape, 400, seed=1))


def test_at_first_all_arrows_point_to_the_middle() -> None:
    points = shape_points("spiral", 50)
    x = noise(9)
    torch.testing.assert_close(ExactField(points)(x, 0.0), points.mean(0) - x)


def test_one_point_draws_straight() -> None:
    point = torch.tensor([[0.4, -1.1]])
    x, start = noise(5), noise(5)
    t = 0.3
    torch.testing.assert_close(ExactField(point)((1 - t) * start + t * point, t), point - start)
    torch.testing.assert_close(follow(ExactField(point), x, 7)[-1], point.expand(5, 2), rtol=1e-5, atol=1e-5)


def test_exact_field_is_the_mean_over_pairs() -> None:
    """Many pairs are drawn; the mean of x_1 - x_0 over those near a place is the arrow there."""
    points, t, place = shape_points("corners", 30), 0.4, torch.tensor([[0.3, 0.2]])
    picture = points.repeat(2_000_000 // 30, 1)
    start = noise(len(picture))
    near = (((1 - t) * start + t * picture) - place).norm(dim=1) < 0.06
    mean = (picture - start)[near].mean(0)
    assert near.sum() > 1000
    torch.testing.assert_close(ExactField(points)(place, t)[0], mean, atol=0.06, rtol=0)


def test_following_the_exact_field_ends_on_the_points() -> None:
    points = shape_points("moons", 40)
    ends = follow(ExactField(points), noise(64), 200)[-1]
    assert torch.cdist(ends, points).min(dim=1).values.max() < 1e-3


@pytest.mark.slow
def test_learned_field_comes_near_the_exact_one() -> None:
    points = shape_points("ring", 500)
    field = train_field(points)
    exact, x = ExactField(points), noise(300)
    for t in (0.0, 0.25, 0.5):
        at = (1 - t) * x + t * points[:300]
        with torch.no_grad():
            off = (field(at, t) - exact(at, t)).square().mean()
        assert off < 0.1 * exact(at, t).square().mean()
    ends = follow(field, x)[-1]
    assert (ends.norm(dim=1) - 1.6).abs().mean() < 0.25
    assert torch.equal(ends, follow(train_field(points), x)[-1])


def test_arrows_stand_on_a_lattice() -> None:
    places, velocity = arrows(ExactField(torch.zeros(1, 2)), 0.5, across=3, reach=2.0)
    assert places[:4].tolist() == [[-2, -2], [0, -2], [2, -2], [-2, 0]]
    torch.testing.assert_close(velocity, -2 * places)
