"""The endless stream: the same numbers give the same drawings, whatever was asked before."""

from __future__ import annotations

import pytest
import torch

from cutaway.base.errors import DataError
from cutaway.diffusion.config import PicturesConfig
from cutaway.diffusion.pictures import Creatures, open_pictures
from cutaway.diffusion.scene import KINDS


@pytest.fixture
def creatures() -> Creatures:
    return Creatures(32, 24, seed=3)


def test_a_batch_is_a_pure_function_of_where_it_begins(creatures: Creatures) -> None:
    whole = creatures.batch(100, 40)
    part = creatures.batch(110, 7)
    assert torch.equal(part.x_BCYX, whole.x_BCYX[10:17])
    assert part.captions == whole.captions[10:17]
    assert torch.equal(part.label_B, whole.label_B[10:17])
    again = Creatures(32, 24, seed=3).batch(100, 40)
    assert torch.equal(again.x_BCYX, whole.x_BCYX)
    assert again.captions == whole.captions
    assert not torch.equal(Creatures(32, 24, seed=4).batch(100, 40).x_BCYX, whole.x_BCYX)


def test_what_a_batch_is(creatures: Creatures) -> None:
    batch = creatures.batch(0, 30)
    assert batch.x_BCYX.shape == (30, 3, 32, 32)
    assert batch.x_BCYX.dtype == torch.float32
    assert -1 <= batch.x_BCYX.min() < -0.5
    assert 0.5 < batch.x_BCYX.max() <= 1
    for label, scene in zip(batch.label_B.tolist(), creatures.scenes(0, 30), strict=True):
        assert KINDS[label] == scene.creature.kind
    assert creatures.names == KINDS
    assert creatures.count is None


def test_held_out_pictures_are_fresh(creatures: Creatures) -> None:
    held_out = creatures.held_out
    assert len(held_out.captions) == 24
    trained = creatures.batch(0, 24).x_BCYX
    assert not any(torch.equal(a, b) for a in held_out.x_BCYX for b in trained)


@pytest.mark.slow
def test_other_pictures_than_the_run_began_with() -> None:
    right = open_pictures(PicturesConfig(), seed=0).hash
    assert open_pictures(PicturesConfig(pictures_hash=right), seed=0).hash == right
    with pytest.raises(DataError, match="not those this run began with"):
        open_pictures(PicturesConfig(pictures_hash=right), seed=1)
    with pytest.raises(DataError, match="no pictures at"):
        open_pictures(PicturesConfig("no/such/folder"))
