"""The points follow their rules, and batches go through all of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cutaway.base.errors import DataError
from cutaway.scratch.playground import DATA_SETS, Playground, PlaygroundConfig, draw_data
from scratch.playgrounds import one_line, small


@pytest.mark.parametrize("name", DATA_SETS)
def test_data_sets(name: str) -> None:
    config = PlaygroundConfig(data=name, n_points=300)
    data, again = draw_data(config), draw_data(config)
    assert np.array_equal(data.x_N2, again.x_N2)
    assert not np.array_equal(data.x_N2, draw_data(replace(config, seed=1)).x_N2)
    assert not np.array_equal(data.x_N2, data.held_out_x_N2)
    assert data.x_N2.shape == data.held_out_x_N2.shape == (300, 2)
    assert np.abs(data.x_N2).max() < 1.25
    assert set(data.y_N) == set(data.held_out_y_N) == {0.0, 1.0}
    # the nearest point to learn from knows the label of nearly every point held out: they follow one rule
    distances = np.linalg.norm(data.held_out_x_N2[:, None] - data.x_N2, axis=2)
    assert (data.y_N[distances.argmin(axis=1)] == data.held_out_y_N).mean() > 0.98


def test_labels_follow_their_rules() -> None:
    def draw(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        data = draw_data(PlaygroundConfig(data=name, n_points=200))
        return data.x_N2[:, 0], data.x_N2[:, 1], data.y_N == 1

    x1, x2, y = draw("xor")
    assert np.array_equal(y, (x1 > 0) ^ (x2 > 0))
    x1, x2, y = draw("and")
    assert np.array_equal(y, (x1 > 0) & (x2 > 0))
    x1, x2, y = draw("or")
    assert np.array_equal(y, (x1 > 0) | (x2 > 0))
    x1, x2, y = draw("circles")
    assert np.array_equal(y, np.hypot(x1, x2) < 0.55)
    x1, x2, y = draw("linear")
    assert np.array_equal(y, x1 + x2 > 0)


def test_noise_flips_its_share_and_more_noise_keeps_what_less_flipped() -> None:
    clean = draw_data(PlaygroundConfig())
    flips = []
    for noise in (0.1, 0.25, 0.5):
        noisy = draw_data(PlaygroundConfig(noise=noise))
        assert np.array_equal(noisy.x_N2, clean.x_N2)
        assert np.array_equal(noisy.held_out_y_N, clean.held_out_y_N)
        flips.append(noisy.y_N != clean.y_N)
        assert flips[-1].sum() == round(noise * 100)
    assert not (flips[0] & ~flips[1]).any()
    assert not (flips[1] & ~flips[2]).any()


def test_an_epoch_of_batches_is_every_point_once() -> None:
    playground = Playground(small(batch_size=6), seeds=(0, 1))
    epochs = []
    for _ in range(2):
        batches = []
        for _ in range(4):
            batches.append(playground.snapshot().batch_KB)
            playground.step()
        assert [batch.shape[1] for batch in batches] == [6, 6, 6, 2]
        epochs.append(np.concatenate(batches, axis=1))
        assert np.array_equal(np.sort(epochs[-1], axis=1), np.tile(np.arange(20), (2, 1)))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0][0], epochs[0][1])


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(0, 0, 1), (0, math.nan, 1)], "point 1 is (0, nan, 1); expected two finite numbers and a label of 0 or 1"),
        ([(0, 0, 1), (math.inf, 0, 1)], "point 1 is (inf, 0, 1)"),
        ([(0, 0, 1), (0, 0, 2)], "point 1 is (0, 0, 2)"),
        ([(0, 0, 1), (0, 0)], "point 1 is (0, 0)"),
        ([(0, 0, 1), 3], "point 1 is 3"),
        ([(0, 0, 1), "abc"], "point 1 is 'abc'"),
        ([(0, 0, 1)], "1 points given; expected 2 to 500"),
        ([(0, 0, 1)] * 501, "501 points given"),
        (np.array([[0, 0, 1], [0, np.nan, 1]]), "point 1 is [0.0, nan, 1.0]"),
        (7, "7 given"),
    ],
)
def test_bad_points(points: Any, words: str) -> None:
    with pytest.raises(DataError) as error:
        Playground(points=points)
    one_line(error, words)
