"""What creatures wear: each in three sizes that leave room between them, so that tiny is never nearly normal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cutaway.diffusion.brush import BLACK, WHITE, Brush
from cutaway.diffusion.creatures import Anchors
from cutaway.diffusion.shapes import F, Number, box, circle, ellipse, stroke, triangle

SCALE = {"tiny": 0.5, "normal": 1.0, "big": 1.65}
"""Length of an accessory of each size, beside a normal one."""


def hat(b: Brush, at: Anchors, s: Number) -> None:
    """A top hat with a band, a little askew."""
    frame = at.head.around(at.hat[0], at.hat[1], b.chances(-0.22, 0.22))
    crown = box(frame, 0.0, 0.14 * s, 0.14 * s, 0.13 * s, 0.03)
    brim = stroke(frame, -0.21 * s, 0.0, 0.21 * s, 0.0, 0.035 * s, 0.035 * s)
    b.outlined(np.minimum(crown, brim))
    b.fill(np.maximum(np.abs(frame.y - 0.075 * s) - 0.03 * s, crown), b.light)


def scarf(b: Brush, at: Anchors, s: Number) -> None:
    """A band around the neck, one end hanging."""
    frame = at.body.around(at.neck[0], at.neck[1])
    thick, width = 0.06 * s, at.neck_width + 0.03 * s
    x = at.neck_width * F(0.5)
    end = stroke(frame, x, 0.0, x + b.chances(0.0, 0.06), -0.22 * s, thick * 0.8, thick * 1.0)
    b.outlined(end)
    b.fill(np.maximum(end, np.abs(frame.y + 0.2 * s) - 0.022 * s), b.light)
    b.outlined(stroke(frame, -width, 0.02, width, 0.02, thick, thick))


def glasses(b: Brush, at: Anchors, s: Number) -> None:
    """Two round lenses and a bridge."""
    frame = at.head.around(at.eyes[0], at.eyes[1])
    r, line = 0.112 * s, 0.026 + 0.018 * s
    apart = np.maximum(at.eye_spread, r * 0.95)
    left, right = circle(frame, -apart, 0.0, r), circle(frame, apart, 0.0, r)
    b.fill(np.minimum(left, right), WHITE, 0.35)
    rims = np.minimum(np.abs(left), np.abs(right)) - line
    bridge = stroke(frame, -apart + r, 0.0, apart - r, 0.0, line * 0.8, line * 0.8)
    b.fill(np.minimum(rims, bridge), b.colour)


def bow(b: Brush, at: Anchors, s: Number) -> None:
    """Two loops and a knot, on the side of the head."""
    frame = at.head.around(at.bow[0], at.bow[1], b.chances(-0.6, 0.1))
    loops = [
        triangle(frame, ((0.0, 0.0), (0.18 * s, -0.10 * s), (0.18 * s, 0.10 * s)), 0.02),
        triangle(frame, ((0.0, 0.0), (-0.18 * s, 0.10 * s), (-0.18 * s, -0.10 * s)), 0.02),
    ]
    b.outlined(np.minimum(*loops))
    b.outlined(circle(frame, 0.0, 0.0, 0.05 * s), b.light)


def boots(b: Brush, at: Anchors, s: Number) -> None:
    """A boot on each foot, with a lighter rim."""
    for x, y in at.feet:
        frame = at.body.around(x, y)
        shaft = box(frame, 0.0, 0.10 * s, 0.065 * s, 0.09 * s, 0.02)
        toe = ellipse(frame, 0.03 * s, 0.035 * s, 0.11 * s, 0.05 * s)
        b.outlined(np.minimum(shaft, toe))
        b.fill(box(frame, 0.0, 0.175 * s, 0.075 * s, 0.025 * s, 0.0), b.light)
        b.fill(box(frame, 0.03 * s, 0.0, 0.10 * s, 0.012 * s, 0.0), BLACK)


WEAR: dict[str, Callable[[Brush, Anchors, Number], None]] = {f.__name__: f for f in (hat, scarf, glasses, bow, boots)}
