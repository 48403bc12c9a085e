"""Shapes by their signed distance, for many drawings at once, and paint with soft edges.

A shape is its distance d (negative inside; Quilez, "2D distance functions"), so that unions are minima, outlines are
d shifted, and an edge one pixel soft is a ramp of d: anti-aliasing without drawing larger. Lengths are in units of the
frame; a number may differ from drawing to drawing (shape N, 1, 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray

Number = ndarray | np.floating | float
F = np.float32


@dataclass(frozen=True)
class Frame:
    """Where each pixel's middle lies in a creature's own coordinates: x to the right, y up."""

    x: ndarray
    y: ndarray
    pixel: Number
    """Length of a pixel's edge."""

    def rows(self, rows: ndarray) -> Frame:
        """Return the frames of some of the drawings."""
        return Frame(self.x[rows], self.y[rows], np.asarray(self.pixel)[rows])

    def around(self, x: Number, y: Number, angle: Number = 0.0) -> Frame:
        """Return the frame with its origin there, turned counter-clockwise by `angle` (radians)."""
        cos, sin = np.cos(angle), np.sin(angle)
        dx, dy = self.x - x, self.y - y
        return Frame(dx * cos + dy * sin, dy * cos - dx * sin, self.pixel)


def ellipse(frame: Frame, x: Number, y: Number, rx: Number, ry: Number, angle: Number | None = None) -> ndarray:
    """Return the distance to an ellipse (exact on its edge to first order)."""
    if angle is None:
        dx, dy = frame.x - x, frame.y - y
    else:
        turned = frame.around(x, y, angle)
        dx, dy = turned.x, turned.y
    a, b = dx / rx, dy / ry
    k = np.sqrt(a * a + b * b)
    a, b = a / rx, b / ry
    return k * (k - F(1)) / (np.sqrt(a * a + b * b) + F(1e-6))


def circle(frame: Frame, x: Number, y: Number, r: Number) -> ndarray:
    """Return the distance to a disc."""
    dx, dy = frame.x - x, frame.y - y
    return np.sqrt(dx * dx + dy * dy) - r


def stroke(frame: Frame, x0: Number, y0: Number, x1: Number, y1: Number, r0: Number, r1: Number) -> ndarray:
    """Return the distance to a straight stroke whose half width goes from r0 to r1."""
    dx, dy = frame.x - x0, frame.y - y0
    ex, ey = x1 - x0, y1 - y0
    along = np.minimum(np.maximum((dx * ex + dy * ey) / (ex * ex + ey * ey), F(0)), F(1))
    dx, dy = dx - along * ex, dy - along * ey
    return np.sqrt(dx * dx + dy * dy) - (r0 + along * (r1 - r0))


def box(frame: Frame, x: Number, y: Number, half_x: Number, half_y: Number, r: Number = 0.0) -> ndarray:
    """Return the distance to a box with rounded corners."""
    dx, dy = np.abs(frame.x - x) - half_x + r, np.abs(frame.y - y) - half_y + r
    return np.maximum(dx, dy) - r if isinstance(r, float) and r == 0 else _corner(dx, dy) - r


def _corner(dx: ndarray, dy: ndarray) -> ndarray:
    outside_x, outside_y = np.maximum(dx, 0), np.maximum(dy, 0)
    return np.sqrt(outside_x * outside_x + outside_y * outside_y) + np.minimum(np.maximum(dx, dy), 0)


def triangle(frame: Frame, corners: tuple[tuple[Number, Number], ...], r: Number = 0.0) -> ndarray:
    """Return the distance to a triangle (corners counter-clockwise), its corners rounded by `r`."""
    result: ndarray | None = None
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        ex, ey = x1 - x0, y1 - y0
        scale = 1 / np.sqrt(ex * ex + ey * ey)
        side = (frame.x - x0) * (ey * scale) - (frame.y - y0) * (ex * scale)
        result = side if result is None else np.maximum(result, side)
    assert result is not None
    return result - r


def cover(frame: Frame, distance: ndarray) -> ndarray:
    """Return how much of each pixel lies inside, 0 to 1."""
    return np.minimum(np.maximum(F(0.5) - distance / frame.pixel, F(0)), F(1))


def paint(rgb: ndarray, alpha: ndarray, colour: ndarray) -> None:
    """Lay a colour (N 3, or N 3 Y X) over the pictures (N 3 Y X) where `alpha` (N Y X) says."""
    if colour.ndim == 2:
        colour = colour[:, :, None, None]
    rgb += alpha[:, None] * (colour - rgb)
