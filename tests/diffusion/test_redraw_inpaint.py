"""Beginning with a drawing, and painting around what stays: the ends are exact, and so is what is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from cutaway.base.errors import ShapeError, UsageError
from cutaway.diffusion.inpaint import inpaint, kept_places
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.redraw import redraw
from cutaway.diffusion.sampler import Step
from diffusion.painters import QUICK, latent_painter, plain_painter, word_painter

PAINTERS = [word_painter, latent_painter, plain_painter]


def drawing(painter: Painter, seed: int = 0) -> np.ndarray:
    shape = (painter.size, painter.size, painter.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def asked(painter: Painter) -> list[str]:
    return ["a red cat" if painter.text else ""]


@pytest.mark.parametrize("make", PAINTERS)
def test_level_0_returns_the_drawing(make: Callable[[], Painter]) -> None:
    painter = make()
    given = drawing(painter)
    made = redraw(painter, given, 0.0, asked(painter), QUICK)
    assert made.pictures.shape[0] == QUICK.n
    assert all(np.array_equal(picture, given) for picture in made.pictures)


@pytest.mark.parametrize("make", [word_painter, latent_painter])
def test_level_1_forgets_the_drawing(make: Callable[[], Painter]) -> None:
    painter = make()
    made = redraw(painter, drawing(painter), 1.0, asked(painter), QUICK)
    assert np.array_equal(made.pictures, paint(painter, asked(painter), QUICK).pictures)


def test_less_noise_stays_nearer_and_takes_fewer_steps() -> None:
    painter = plain_painter()
    given, config = drawing(painter), dataclasses.replace(QUICK, steps=20)
    distances, counts = [], []
    for level in (0.05, 0.3, 1.0):
        steps: list[Step] = []
        made = redraw(painter, given, level, [""], config, on_step=lambda i, step, to=steps: to.append(step))
        distances.append(np.abs(made.pictures.astype(float) - given).mean())
        counts.append(len(steps))
        assert steps[-1].t == 1
    assert distances == sorted(distances)
    assert counts == [1, 6, 20]


def test_bad_levels_and_sizes() -> None:
    painter = word_painter()
    for level in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="noise level"):
            redraw(painter, drawing(painter), level, ["a cat"], QUICK)
    with pytest.raises(ShapeError, match="this painter paints"):
        redraw(painter, np.zeros((9, 8, 3), dtype=np.uint8), 0.5, ["a cat"], QUICK)


@pytest.mark.parametrize("make", PAINTERS)
def test_what_is_kept_is_exactly_as_it_was(make: Callable[[], Painter]) -> None:
    painter = make()
    given = drawing(painter)
    keep = np.zeros(given.shape[:2], dtype=bool)
    keep[:, : painter.size // 2 + 1] = True
    made = inpaint(painter, given, keep, asked(painter), QUICK)
    assert made.seeds == (5, 6)
    for picture in made.pictures:
        assert np.array_equal(picture[keep], given[keep])
        assert not np.array_equal(picture[~keep], given[~keep])


@pytest.mark.parametrize("make", PAINTERS)
def test_all_kept_returns_the_picture_and_none_kept_paints(make: Callable[[], Painter]) -> None:
    painter = make()
    given = drawing(painter)
    everything = np.ones(given.shape[:2], dtype=bool)
    made = inpaint(painter, given, everything, asked(painter), QUICK)
    assert all(np.array_equal(picture, given) for picture in made.pictures)
    free = inpaint(painter, given, ~everything, asked(painter), QUICK)
    assert np.array_equal(free.pictures, paint(painter, asked(painter), QUICK).pictures)


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm++"])
def test_the_model_sees_what_is_known(sampler: str) -> None:
    """At every step the known places are on the line from their noise to the picture."""
    painter, steps = word_painter(), []
    given = drawing(painter)
    keep = np.zeros((8, 8), dtype=bool)
    keep[2:5] = True
    config = dataclasses.replace(QUICK, sampler=sampler)
    inpaint(painter, given, keep, ["a cat"], config, on_step=lambda i, step: steps.append(step))
    known, noise = painter.from_pictures(given[None]), painter.noise([5, 6])
    for step in steps:
        line = (1 - step.t) * noise + step.t * known
        torch.testing.assert_close(step.x[:, :, keep], line[:, :, keep])


def test_a_latent_place_is_kept_where_all_its_pixels_are() -> None:
    keep = torch.ones(8, 8, dtype=torch.bool)
    keep[0, 5] = False
    assert (~kept_places(keep, 4)).nonzero().tolist() == [[0, 2]]
    assert torch.equal(kept_places(keep, 8), keep)


def test_mask_of_another_size() -> None:
    painter = word_painter()
    with pytest.raises(ShapeError, match="a mask of shape"):
        inpaint(painter, drawing(painter), np.ones((4, 4), dtype=bool), ["a cat"], QUICK)
