"""A brush that works on many drawings of one kind at once: where they are, their colours, their chances."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray

from cutaway.diffusion.shapes import F, Frame, Number, cover, ellipse, paint

COLOUR_RGB = {
    "red": (0.88, 0.20, 0.20),
    "orange": (0.98, 0.57, 0.13),
    "yellow": (0.99, 0.87, 0.28),
    "green": (0.33, 0.72, 0.32),
    "blue": (0.24, 0.50, 0.93),
    "purple": (0.56, 0.31, 0.80),
    "pink": (0.99, 0.60, 0.78),
    "brown": (0.52, 0.34, 0.20),
}
BLACK = np.array([[0.10, 0.08, 0.12]], F)
WHITE = np.array([[1.0, 1.0, 1.0]], F)
ROSE = np.array([[0.98, 0.50, 0.55]], F)
BEAK = np.array([[0.99, 0.66, 0.15]], F)


class Chances:
    """Numbers in [0, 1) for each of N drawings, used up column by column."""

    def __init__(self, numbers_NK: ndarray) -> None:
        self._numbers_NK = numbers_NK
        self._next = 0

    def __call__(self, low: float, high: float) -> ndarray:
        """Return the next number of each drawing, between low and high, as N 1 1."""
        self._next += 1
        return (F(low) + self._numbers_NK[:, self._next - 1] * F(high - low))[:, None, None]


@dataclass(frozen=True)
class Brush:
    """What a creature's parts are painted with."""

    frame: Frame
    rgb: ndarray
    """N 3 Y X, 0 to 1; painted over."""
    colour: ndarray
    """N 3: of the creature, or of what it wears."""
    chances: Chances = field(repr=False)

    @property
    def dark(self) -> ndarray:
        """Of outlines."""
        return self.colour * F(0.42)

    @property
    def shade(self) -> ndarray:
        """A little darker than the colour."""
        return self.colour * F(0.74)

    @property
    def light(self) -> ndarray:
        """Of bellies and muzzles."""
        return self.colour + (WHITE - self.colour) * F(0.68)

    def fill(self, distance: ndarray, colour: ndarray, opacity: float = 1.0) -> None:
        """Paint a shape."""
        alpha = cover(self.frame, distance)
        paint(self.rgb, alpha if opacity == 1 else alpha * F(opacity), colour)

    def outlined(self, distance: ndarray, colour: ndarray | None = None) -> None:
        """Paint a shape with a dark line around it."""
        width = np.maximum(F(0.024), F(0.55) * self.frame.pixel)
        self.fill(distance - width, self.dark)
        self.fill(distance, self.colour if colour is None else colour)

    def eye(self, frame: Frame, x: Number, y: Number, r: Number) -> None:
        """Paint a round black eye with a spark in it."""
        self.fill(ellipse(frame, x, y, r, r * 1.18), BLACK)
        self.fill(ellipse(frame, x + r * 0.3, y + r * 0.42, r * 0.36, r * 0.36), WHITE)
