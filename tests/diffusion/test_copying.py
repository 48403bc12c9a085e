"""Copies are found, fresh drawings are not taken for copies."""

from __future__ import annotations

import pytest
import torch

from cutaway.base.seed import derive
from cutaway.diffusion.copying import copying, nearest_training
from cutaway.diffusion.pictures import Creatures, picture_batch


@pytest.fixture(scope="module")
def creatures() -> Creatures:
    return Creatures(16, 8, seed=1)


@pytest.mark.slow
def test_distances_are_root_mean_squares_of_the_nearest(creatures: Creatures) -> None:
    training = creatures.batch(0, 300).x_BCYX
    x_BCYX = creatures.held_out.x_BCYX
    distance_B, where = nearest_training(x_BCYX, creatures, 300)
    every = ((x_BCYX[:, None] - training[None]) / 2).square().mean((2, 3, 4)).sqrt()
    torch.testing.assert_close(distance_B, every.min(1).values, atol=1e-4, rtol=1e-4)
    assert where == every.argmin(1).tolist()


def test_a_copy_is_found(creatures: Creatures) -> None:
    fresh = creatures.held_out.x_BCYX
    copied = creatures.batch(40, 8).x_BCYX + 0.01
    report = copying(copied, fresh, creatures, 200)
    assert report.nearer == 1
    assert report.nearest_training == list(range(40, 48))
    assert report.painted < 0.02 < report.fresh


def test_fresh_drawings_are_no_copies(creatures: Creatures) -> None:
    scenes = creatures.scenes(5000, 150)
    batches = [picture_batch(scenes, 16, derive(7, name)) for name in ("one", "other")]
    report = copying(batches[0].x_BCYX, batches[1].x_BCYX, creatures, 300)
    assert report.nearer < 0.08
    assert report.painted == pytest.approx(report.fresh, rel=0.2)
