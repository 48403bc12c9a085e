"""Copies and noise are told from fresh drawings."""

from __future__ import annotations

import numpy as np
import pytest

from bench.paint_measuring import small_judge
from cutaway.bench.paint_distances import Reference, distances, reference, through_latents
from cutaway.diffusion.config import VAEConfig
from cutaway.diffusion.judge import Judge
from cutaway.diffusion.picture_files import to_uint8
from cutaway.diffusion.pictures import Creatures
from cutaway.diffusion.scene import is_held_out
from cutaway.diffusion.vae import VAE

TRAINED_ON = Creatures(32, 8, seed=0)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return small_judge()


@pytest.fixture(scope="module")
def compared(judge: Judge) -> Reference:
    return reference(judge, 32, 30, 600, seed=0)


def test_the_reference_is_drawn_apart(compared: Reference) -> None:
    assert compared.features_NF.shape == (600, 256)
    assert len(compared.fresh.x_BCYX) == len(compared.fresh_scenes) == 30
    assert not any(is_held_out(scene) for scene in compared.fresh_scenes)
    # the blocks it is drawn in go on where the one before ended
    assert len(compared.features_NF.unique(dim=0)) > 590


def test_copies_of_training_drawings_are_found(judge: Judge, compared: Reference) -> None:
    copies = to_uint8(TRAINED_ON.batch(0, 30).x_BCYX)
    found, copied = distances(copies, judge, compared, TRAINED_ON, 60)
    assert found.nearer == 1
    assert found.nearest < 0.01 < found.nearest_fresh
    assert copied.nearest_training == list(range(30))


def test_fresh_drawings_are_as_good_as_fresh_drawings(judge: Judge, compared: Reference) -> None:
    other = reference(judge, 32, 30, 30, seed=1)
    found, _ = distances(to_uint8(other.fresh.x_BCYX), judge, compared, TRAINED_ON, 60)
    assert found.fid == pytest.approx(found.fid_fresh, rel=0.35)
    assert found.diversity == pytest.approx(found.diversity_fresh, rel=0.15)
    assert found.nearer < 0.2
    assert found.nearest == pytest.approx(found.nearest_fresh, rel=0.2)


def test_noise_and_one_picture_again_and_again_are_told(judge: Judge, compared: Reference) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), np.uint8)
    found, _ = distances(noise, judge, compared, TRAINED_ON, 60)
    assert found.fid > 2 * found.fid_fresh
    same = np.repeat(to_uint8(compared.fresh.x_BCYX[:1]), 30, axis=0)
    assert distances(same, judge, compared, TRAINED_ON, 60)[0].diversity == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_an_autoencoder_is_given_fresh_drawings_to_smooth(judge: Judge, compared: Reference) -> None:
    vae = VAE(VAEConfig(size=32)).eval()  # its weights are as drawn: all that comes back is nearly grey
    fresh = to_uint8(compared.fresh.x_BCYX)
    found, _ = distances(fresh, judge, compared, TRAINED_ON, 60, vae)
    back = through_latents(compared.fresh.x_BCYX, vae)
    assert found.nearest == found.nearest_fresh
    assert found.nearest_through == pytest.approx(distances(to_uint8(back), judge, compared, TRAINED_ON, 60)[0].nearest)
    assert found.nearest_through != found.nearest_fresh
    assert distances(fresh, judge, compared, TRAINED_ON, 60)[0].nearest_through is None
