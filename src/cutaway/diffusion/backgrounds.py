"""Four places to be, painted over whole pictures; coordinates are the picture's, from 0 to 1, y up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray

from cutaway.diffusion.brush import WHITE, Chances
from cutaway.diffusion.shapes import F, Frame, circle, cover, ellipse, paint


def _rgb(*numbers: float) -> ndarray:
    return np.array([numbers], F)


def meadow(frame: Frame, rgb: ndarray, chances: Chances) -> None:
    """Grass under a pale sky, a hill, flowers."""
    rgb[:] = _rgb(0.74, 0.90, 0.99)[:, :, None, None]
    hill = frame.y - chances(0.42, 0.60) + F(0.06) * np.sin(frame.x * 5 + chances(0, 6))
    paint(rgb, cover(frame, hill), _rgb(0.70, 0.88, 0.52))
    near = frame.y - chances(0.20, 0.36) - F(0.04) * np.sin(frame.x * 4 + chances(0, 6))
    paint(rgb, cover(frame, near), _rgb(0.60, 0.82, 0.42))
    for tint in (WHITE, _rgb(1.0, 0.92, 0.55), _rgb(1.0, 0.75, 0.82), WHITE):
        flower = circle(frame, chances(0, 1), chances(0.02, 0.3), chances(0.014, 0.026))
        paint(rgb, cover(frame, flower), tint)


def night(frame: Frame, rgb: ndarray, chances: Chances) -> None:
    """Dark sky, moon, stars, a dark hill."""
    sky = (F(1) - F(0.45) * frame.y)[:, None]
    rgb[:] = sky * _rgb(0.17, 0.18, 0.42)[:, :, None, None]
    x, y = chances(0.08, 0.92), chances(0.78, 0.93)
    moon = circle(frame, x, y, 0.085)
    paint(rgb, cover(frame, np.maximum(moon, -circle(frame, x + 0.05, y + 0.03, 0.075))), _rgb(1.0, 0.95, 0.70))
    for _ in range(6):
        star = circle(frame, chances(0, 1), chances(0.45, 1), chances(0.008, 0.018))
        paint(rgb, cover(frame, star), _rgb(1.0, 1.0, 0.88))
    hill = frame.y - chances(0.14, 0.32) - F(0.05) * np.sin(frame.x * 4 + chances(0, 6))
    paint(rgb, cover(frame, hill), _rgb(0.10, 0.16, 0.22))


def beach(frame: Frame, rgb: ndarray, chances: Chances) -> None:
    """Sand, a strip of sea, the sun."""
    rgb[:] = _rgb(0.80, 0.94, 1.0)[:, :, None, None]
    sun = circle(frame, chances(0.05, 0.95), chances(0.82, 0.95), 0.085)
    paint(rgb, cover(frame, sun), _rgb(1.0, 0.90, 0.45))
    sea = chances(0.52, 0.66)
    paint(rgb, cover(frame, frame.y - sea), _rgb(0.35, 0.74, 0.86))
    shore = chances(0.30, 0.42) + F(0.02) * np.sin(frame.x * 8 + chances(0, 6))
    paint(rgb, cover(frame, frame.y - shore - F(0.025)), WHITE)
    paint(rgb, cover(frame, frame.y - shore), _rgb(0.97, 0.88, 0.68))
    for _ in range(2):
        shell = ellipse(frame, chances(0, 1), chances(0.03, 0.22), 0.03, 0.018)
        paint(rgb, cover(frame, shell), _rgb(0.90, 0.74, 0.55))


def plain(frame: Frame, rgb: ndarray, chances: Chances) -> None:
    """Nothing but paper, a little cream or a little grey."""
    rgb[:] = np.concatenate([chances(0.93, 1.0), chances(0.93, 1.0), chances(0.90, 0.99)], 1)[..., None]


PLACE: dict[str, Callable[[Frame, ndarray, Chances], None]] = {f.__name__: f for f in (meadow, night, beach, plain)}
