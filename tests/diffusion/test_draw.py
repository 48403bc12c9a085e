"""Drawings: the same by seed, of any size, never twice the same, edges soft, alone or in company the same."""

from __future__ import annotations

import numpy as np
import pytest

from cutaway.diffusion.counted import uniforms
from cutaway.diffusion.draw import N_CHANCES, draw
from cutaway.diffusion.scene import BACKGROUNDS, Creature, Scene
from cutaway.diffusion.scene_stream import training_scenes


@pytest.mark.parametrize("size", [16, 32, 64])
def test_each_drawing_is_the_same_alone(size: int) -> None:
    scenes, chances = training_scenes(0, 0, 24), uniforms(1, range(24), N_CHANCES)
    together = draw(scenes, size, chances)
    assert together.shape == (24, size, size, 3)
    assert together.dtype == np.uint8
    for i, scene in enumerate(scenes):
        np.testing.assert_array_equal(draw([scene], size, chances[i : i + 1])[0], together[i])


def test_one_scene_is_never_drawn_alike() -> None:
    scene = Scene(Creature("cat", "red", "normal", "hat", "normal", "blue"), "plain")
    drawn = draw([scene] * 40, 32, uniforms(2, range(40), N_CHANCES)).astype(float)
    apart = np.abs(drawn[:, None] - drawn[None]).mean((2, 3, 4)) + 255 * np.eye(40)
    assert apart.min() > 2


def test_larger_pictures_show_the_same() -> None:
    """A drawing of 64 pixels, averaged by fours, is the drawing of 32: edges are covered as much as they should be."""
    scenes, chances = training_scenes(3, 0, 40), uniforms(4, range(40), N_CHANCES)
    small, large = (draw(scenes, size, chances).astype(float) for size in (32, 64))
    averaged = large.reshape(40, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(averaged - small).mean() < 4


def test_edges_are_soft() -> None:
    scene = Scene(Creature("bear", "brown", "big", "nothing"), "plain")
    colours = draw([scene], 64, uniforms(0, [0], N_CHANCES))[0].reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) > 150


def test_all_of_a_creature_is_inside() -> None:
    """On paper, the border of the picture stays paper, but for wide hats and the like."""
    scenes = [Scene(Creature(kind, "blue", "normal", "nothing"), "plain") for kind in ("cat", "owl", "snail") * 10]
    drawn = draw(scenes, 32, uniforms(5, range(30), N_CHANCES))
    border = np.concatenate([drawn[:, 0], drawn[:, -1], drawn[:, :, 0], drawn[:, :, -1]], 1)
    assert (border.min(2) > 200).mean() > 0.98


def test_backgrounds_differ() -> None:
    drawn = draw(
        [Scene(Creature("cat", "red", "small", "nothing"), b) for b in BACKGROUNDS],
        32,
        uniforms(6, range(4), N_CHANCES),
    )
    means = drawn.reshape(4, -1, 3).mean(1)
    assert min(np.abs(means[i] - means[j]).max() for i in range(4) for j in range(i)) > 10
