"""The points of a playground: seven small problems of telling two kinds apart, the user's own points, and batches.

A point is a place (x1, x2) of the plane and a label, 0 or 1. What is random follows from a seed and a purpose (`stream`):
the same settings give the same points, and a batch is drawn the same way again when history is replayed.

Look at `DATA_SETS`: which problems need a hidden layer? (`and`, `or` and `linear` do not.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cutaway.base.errors import DataError, UsageError
from cutaway.scratch.checks import number
from cutaway.scratch.playground_config import MAX_POINTS, PlaygroundConfig
from cutaway.scratch.small_network_functions import FloatArray

POINTS, HELD_OUT, FLIPS, WEIGHTS, BATCHES, PAINT = range(6)
"""What a seed is used for."""


def stream(seed: int, purpose: int, *more: int) -> np.random.Generator:
    """Return the random numbers of a seed for one purpose; each purpose has numbers of its own."""
    return np.random.default_rng([seed, purpose, *more])


@dataclass(frozen=True)
class DataSet:
    """Points with labels 0 or 1, to learn from and held out."""

    x_N2: FloatArray
    y_N: FloatArray
    held_out_x_N2: FloatArray
    held_out_y_N: FloatArray


Drawn = tuple[NDArray[Any], NDArray[Any]]
"""x_N2 and y_N."""


def draw_corners(truth: tuple[int, int, int, int]) -> Callable[[np.random.Generator, int], Drawn]:
    """Return a generator of four patches at (+-0.6, +-0.6), labelled by a truth table in the order --, +-, -+, ++."""

    def draw(rng: np.random.Generator, n: int) -> Drawn:
        corner_N = np.arange(n) % 4
        centre_N2 = np.stack([corner_N % 2, corner_N // 2], axis=1) * 1.2 - 0.6
        return centre_N2 + rng.uniform(-0.35, 0.35, (n, 2)), np.array(truth, dtype=float)[corner_N]

    return draw


def draw_moons(rng: np.random.Generator, n: int) -> Drawn:
    """Draw two half circles that reach into each other."""
    y_N = np.arange(n) % 2.0
    angle_N = rng.uniform(0, np.pi, n)
    x_N = np.where(y_N == 1, 1 - np.cos(angle_N), np.cos(angle_N))
    height_N = np.where(y_N == 1, 0.5 - np.sin(angle_N), np.sin(angle_N))
    x_N2 = np.stack([x_N - 0.5, height_N - 0.25], axis=1) / 1.6
    return x_N2 + rng.normal(0, 0.05, (n, 2)), y_N


def draw_circles(rng: np.random.Generator, n: int) -> Drawn:
    """Draw a disc of radius 0.45 with label 1 in a ring from 0.65 to 1."""
    y_N = np.arange(n) % 2.0
    radius_N = np.where(y_N == 1, rng.uniform(0, 0.45, n), rng.uniform(0.65, 1, n))
    angle_N = rng.uniform(0, 2 * np.pi, n)
    return radius_N[:, None] * np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1), y_N


def draw_spiral(rng: np.random.Generator, n: int) -> Drawn:
    """Draw two arms that wind one and three quarter times around the origin."""
    y_N = np.arange(n) % 2.0
    radius_N = rng.uniform(0.05, 1, n)
    angle_N = 3.5 * np.pi * radius_N + np.pi * y_N
    x_N2 = radius_N[:, None] * np.stack([np.sin(angle_N), np.cos(angle_N)], axis=1)
    return x_N2 + rng.normal(0, 0.02, (n, 2)), y_N


def draw_linear(rng: np.random.Generator, n: int) -> Drawn:
    """Draw points of a square on both sides of its falling diagonal, moved 0.1 away from it in each direction."""
    x_N2 = rng.uniform(-0.9, 0.9, (n, 2))
    y_N = (x_N2.sum(axis=1) > 0).astype(float)
    return x_N2 + (0.2 * y_N - 0.1)[:, None], y_N


DATA_SETS: dict[str, Callable[[np.random.Generator, int], Drawn]] = {
    "xor": draw_corners((0, 1, 1, 0)),
    "and": draw_corners((0, 0, 0, 1)),
    "or": draw_corners((0, 1, 1, 1)),
    "moons": draw_moons,
    "circles": draw_circles,
    "spiral": draw_spiral,
    "linear": draw_linear,
}


def draw_data(config: PlaygroundConfig) -> DataSet:
    """Draw the points of a configuration; more noise flips more labels and keeps those flipped with less."""

    draw, n = DATA_SETS[config.data], config.n_points
    x_N2, y_N = draw(stream(config.seed, POINTS), n)
    flipped = stream(config.seed, FLIPS).permutation(n)[: round(config.noise * n)]
    y_N[flipped] = 1 - y_N[flipped]
    return DataSet(x_N2, y_N, *draw(stream(config.seed, HELD_OUT), n))


def own_points(rows: Sequence[Sequence[float]]) -> DataSet:
    """Return the user's own points (x1, x2, label); none is held out.

    Raises:
        DataError: too few or too many, or one that is not two finite numbers and a label.
    """
    if not isinstance(rows, (list, tuple, np.ndarray)) or not 2 <= len(rows) <= MAX_POINTS:
        given = f"{len(rows)} points" if hasattr(rows, "__len__") else repr(rows)
        raise DataError(f"{given} given; expected 2 to {MAX_POINTS} points, each (x1, x2, label)")
    checked = np.array([check_point(n, row) for n, row in enumerate(rows)])
    return DataSet(checked[:, :2].copy(), checked[:, 2].copy(), np.empty((0, 2)), np.empty(0))


def check_point(n: int, row: Sequence[float]) -> tuple[float, float, float]:
    """Return a point's row as numbers.

    Raises:
        DataError: it is not two finite numbers and a label of 0 or 1.
    """
    try:
        x1, x2, label = (number(value, "") for value in row)
    except (UsageError, TypeError, ValueError):
        label = -1.0
    if label not in (0, 1):
        shown = row.tolist() if isinstance(row, np.ndarray) else row
        raise DataError(f"point {n} is {shown!r:.80}; expected two finite numbers and a label of 0 or 1")
    return x1, x2, label


class Batches:
    """Which points each step uses: all of them, or each network's next part of an order drawn anew every epoch.

    Args:
        seeds: of the networks.
        n: how many points there are.
        batch_size: left out, or more than there are: all of them.
    """

    def __init__(self, seeds: Sequence[int], n: int, batch_size: int | None) -> None:
        self.seeds, self.n, self.batch_size = seeds, n, min(batch_size or n, n)
        self._epoch, self._order_KN = -1, np.arange(n)[None]
        self._order_KN.setflags(write=False)

    def at(self, step: int) -> NDArray[np.intp]:
        """Return the batch of the step after `step` as batch_KB; one row for all networks when it is all points."""
        if self.batch_size == self.n:
            return self._order_KN
        epoch, part = divmod(step, math.ceil(self.n / self.batch_size))
        if epoch != self._epoch:
            self._order_KN = np.stack([stream(seed, BATCHES, epoch).permutation(self.n) for seed in self.seeds])
            self._epoch = epoch
        return self._order_KN[:, part * self.batch_size : (part + 1) * self.batch_size]
