"""The eight creatures, each some ten shapes, seen from the front (fish and snail from the side).

In a creature's own coordinates its feet stand at y 0 and the top of its head is near y 0.85; ears and stalks go higher.
Each returns where things are worn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cutaway.diffusion.brush import BEAK, BLACK, ROSE, WHITE, Brush
from cutaway.diffusion.shapes import F, Frame, Number, circle, ellipse, stroke, triangle


@dataclass(frozen=True)
class Anchors:
    """Where a creature wears things: the hat, bow and glasses in the head's own frame, scarf and boots in the body's."""

    head: Frame
    hat: tuple[Number, Number]
    eyes: tuple[Number, Number]
    """Where the middle between the eyes is."""
    eye_spread: Number
    """From the middle to each eye."""
    bow: tuple[Number, Number]
    neck: tuple[Number, Number]
    neck_width: Number
    feet: tuple[tuple[Number, Number], ...]
    body: Frame

    def rows(self, rows: np.ndarray) -> Anchors:
        """Return those of some of the drawings."""

        def take(value: Number) -> Number:
            return value[rows] if isinstance(value, np.ndarray) else value

        def point(values: tuple[Number, Number]) -> tuple[Number, Number]:
            return take(values[0]), take(values[1])

        return Anchors(
            self.head.rows(rows),
            point(self.hat),
            point(self.eyes),
            take(self.eye_spread),
            point(self.bow),
            point(self.neck),
            take(self.neck_width),
            tuple(point(foot) for foot in self.feet),
            self.body.rows(rows),
        )


def _body(b: Brush, rx: float = 0.22, ry: float = 0.24, tail: np.ndarray | None = None) -> None:
    body = ellipse(b.frame, 0.0, 0.24, b.chances(rx * 0.92, rx * 1.08), F(ry))
    feet = np.minimum(ellipse(b.frame, -0.13, 0.05, 0.11, 0.06), ellipse(b.frame, 0.13, 0.05, 0.11, 0.06))
    if tail is not None:
        body = np.minimum(body, tail)
    b.outlined(np.minimum(body, feet))


def _head(b: Brush) -> Frame:
    return b.frame.around(b.chances(-0.03, 0.03), b.chances(0.58, 0.63), b.chances(-0.14, 0.14))


def _face(b: Brush, head: Frame, spread: float = 0.13, y: float = 0.02, r: float = 0.052) -> Anchors:
    spread_N11 = b.chances(spread * 0.92, spread * 1.08)
    b.fill(ellipse(head, -0.21, -0.09, 0.06, 0.04), ROSE, 0.55)
    b.fill(ellipse(head, 0.21, -0.09, 0.06, 0.04), ROSE, 0.55)
    b.eye(head, -spread_N11, y, r)
    b.eye(head, spread_N11, y, r)
    return Anchors(
        head=head,
        hat=(0.0, 0.20),
        eyes=(0.0, y),
        eye_spread=spread_N11,
        bow=(0.24, 0.19),
        neck=(0.0, 0.38),
        neck_width=0.21,
        feet=((-0.14, 0.0), (0.14, 0.0)),
        body=b.frame,
    )


def _mouth(b: Brush, head: Frame, y: float) -> None:
    for side in (-1, 1):
        b.fill(stroke(head, 0.0, y - 0.035, side * 0.075, y, 0.013, 0.013), b.dark)


def cat(b: Brush) -> Anchors:
    """Pointed ears, whiskers, a tail that curls up."""
    swing = b.chances(-0.06, 0.10)
    tail = np.minimum(
        stroke(b.frame, 0.12, 0.08, 0.36, 0.14, 0.05, 0.05),
        stroke(b.frame, 0.36, 0.14, 0.36 + swing, 0.42, 0.05, 0.045),
    )
    _body(b, tail=tail)
    b.fill(ellipse(b.frame, 0.0, 0.18, 0.12, 0.14), b.light)
    head, tip = _head(b), b.chances(0.33, 0.41)
    skull = ellipse(head, 0.0, 0.0, 0.31, 0.25)
    for s in (-1, 1):
        skull = np.minimum(skull, _ear(head, s, 0.30, 0.05, 0.06, 0.20, 0.25, tip))
    b.outlined(skull)
    for s in (-1, 1):
        b.fill(_ear(head, s, 0.255, 0.12, 0.13, 0.19, 0.235, tip - 0.06), ROSE)
        for lift in (-0.03, 0.025):
            b.fill(stroke(head, s * 0.20, -0.07, s * 0.38, -0.06 + lift * 2, 0.009, 0.006), b.dark)
    for x in (-0.06, 0.0, 0.06):
        b.fill(stroke(head, x, 0.15, x * 1.15, 0.22, 0.014, 0.014), b.shade)
    anchors = _face(b, head)
    b.fill(triangle(head, ((0.0, -0.09), (0.035, -0.055), (-0.035, -0.055)), 0.008), ROSE)
    _mouth(b, head, -0.095)
    return anchors


def _ear(head: Frame, s: int, x0: float, y0: float, x1: float, y1: float, tip_x: float, tip_y: Number) -> np.ndarray:
    base, inner, tip = (s * x0, y0), (s * x1, y1), (s * tip_x, tip_y)
    return triangle(head, (base, inner, tip) if s < 0 else (inner, base, tip), 0.02)


def dog(b: Brush) -> Anchors:
    """Hanging ears, a light muzzle with a big nose, the tongue out."""
    wag = b.chances(0.02, 0.14)
    _body(b, tail=stroke(b.frame, 0.16, 0.16, 0.30 + wag, 0.34, 0.045, 0.03))
    b.fill(ellipse(b.frame, 0.0, 0.18, 0.12, 0.14), b.light)
    head = _head(b)
    b.outlined(ellipse(head, 0.0, 0.0, 0.28, 0.25))
    b.fill(ellipse(head, -0.12, 0.04, 0.10, 0.11), b.shade)
    b.fill(ellipse(head, 0.0, -0.10, 0.165, 0.125), b.light)
    b.fill(ellipse(head, 0.0, -0.19, 0.045, 0.065), ROSE)
    b.fill(ellipse(head, 0.0, -0.055, 0.065, 0.045), BLACK)
    _mouth(b, head, -0.13)
    droop = b.chances(0.10, 0.35)
    for s in (-1, 1):
        b.outlined(ellipse(head, s * 0.31, -0.05, 0.085, 0.21, s * droop), b.shade)
    return _face(b, head, 0.12, 0.055)


def rabbit(b: Brush) -> Anchors:
    """Long ears, two teeth, a white puff of a tail."""
    b.outlined(circle(b.frame, 0.23, 0.13, 0.075), WHITE)
    _body(b, 0.20)
    b.fill(ellipse(b.frame, 0.0, 0.18, 0.12, 0.14), b.light)
    head, lean, long = _head(b), b.chances(-0.05, 0.28), b.chances(0.20, 0.25)
    ears = [ellipse(head, s * 0.14, 0.36, 0.075, long, -s * lean) for s in (-1, 1)]
    b.outlined(np.minimum(np.minimum(*ears), ellipse(head, 0.0, 0.0, 0.27, 0.24)))
    for s in (-1, 1):
        b.fill(ellipse(head, s * 0.14, 0.37, 0.036, long * F(0.72), -s * lean), ROSE)
    b.fill(np.minimum(ellipse(head, -0.06, -0.10, 0.08, 0.065), ellipse(head, 0.06, -0.10, 0.08, 0.065)), b.light)
    b.fill(ellipse(head, 0.0, -0.17, 0.042, 0.05), WHITE)
    b.fill(stroke(head, 0.0, -0.13, 0.0, -0.20, 0.006, 0.006), b.dark)
    b.fill(ellipse(head, 0.0, -0.06, 0.035, 0.026), ROSE)
    return _face(b, head)


def bear(b: Brush) -> Anchors:
    """Round ears, a round muzzle, a broad body with a light belly."""
    arms = [ellipse(b.frame, s * 0.25, 0.26, 0.07, 0.13, s * 0.4) for s in (-1, 1)]
    _body(b, 0.27, 0.26, np.minimum(*arms))
    b.fill(ellipse(b.frame, 0.0, 0.21, 0.16, 0.16), b.light)
    head, out = _head(b), b.chances(0.21, 0.25)
    skull = ellipse(head, 0.0, 0.0, 0.29, 0.25)
    for s in (-1, 1):
        skull = np.minimum(skull, circle(head, s * out, 0.19, 0.105))
    b.outlined(skull)
    for s in (-1, 1):
        b.fill(circle(head, s * out, 0.19, 0.055), b.light)
    b.fill(ellipse(head, 0.0, -0.09, 0.135, 0.11), b.light)
    b.fill(ellipse(head, 0.0, -0.045, 0.055, 0.038), BLACK)
    _mouth(b, head, -0.10)
    return _face(b, head, 0.125, 0.05, 0.045)


def fox(b: Brush) -> Anchors:
    """Big dark-tipped ears, white cheeks down to a point, a bushy tail with a white tip."""
    tilt = b.chances(-0.55, -0.15)
    tail = b.frame.around(0.22, 0.06, tilt)
    b.outlined(ellipse(tail, 0.08, 0.24, 0.13, 0.25))
    b.fill(np.maximum(ellipse(tail, 0.08, 0.24, 0.13, 0.25), 0.33 - tail.y), WHITE)
    _body(b, 0.19)
    b.fill(ellipse(b.frame, 0.0, 0.22, 0.10, 0.16), WHITE)
    for s in (-1, 1):
        b.fill(ellipse(b.frame, s * 0.13, 0.045, 0.10, 0.05), b.shade)
    head, tip = _head(b), b.chances(0.37, 0.44)
    face = np.minimum(ellipse(head, 0.0, 0.04, 0.28, 0.19), _snout(head, 0.31, 0.0, -0.27))
    skull = face
    for s in (-1, 1):
        skull = np.minimum(skull, _ear(head, s, 0.29, 0.02, 0.03, 0.18, 0.26, tip))
    b.outlined(skull)
    for s in (-1, 1):
        b.fill(np.maximum(_ear(head, s, 0.28, 0.06, 0.07, 0.19, 0.255, tip - 0.02), 0.25 - head.y), b.dark)
        cheek = ellipse(head, s * 0.20, -0.13, 0.17, 0.135)
        b.fill(np.maximum(cheek, face), WHITE)
    anchors = _face(b, head, 0.125, 0.035)
    b.fill(ellipse(head, 0.0, -0.225, 0.045, 0.035), BLACK)
    return anchors


def _snout(head: Frame, half: float, top: float, tip: float) -> np.ndarray:
    return triangle(head, ((0.0, tip), (half, top), (-half, top)), 0.02)


def owl(b: Brush) -> Anchors:
    """One egg of a body, wings, tufts, huge eyes, a beak."""
    lift = b.chances(0.0, 0.5)
    for s in (-1, 1):
        b.fill(ellipse(b.frame, s * 0.10, 0.02, 0.075, 0.04), BEAK)
    wings = [ellipse(b.frame, s * 0.31, 0.36, 0.085, 0.22, s * lift) for s in (-1, 1)]
    b.outlined(np.minimum(*wings), b.shade)
    head = b.frame.around(0.0, 0.60, b.chances(-0.10, 0.10))
    egg = np.minimum(ellipse(b.frame, 0.0, 0.35, 0.29, 0.34), ellipse(head, 0.0, 0.0, 0.31, 0.25))
    tip = b.chances(0.31, 0.38)
    for s in (-1, 1):
        egg = np.minimum(egg, _ear(head, s, 0.31, 0.02, 0.10, 0.22, 0.29, tip))
    b.outlined(egg)
    b.fill(ellipse(b.frame, 0.0, 0.24, 0.19, 0.20), b.light)
    for x, y in ((-0.08, 0.30), (0.08, 0.30), (0.0, 0.22), (-0.08, 0.14), (0.08, 0.14)):
        b.fill(ellipse(b.frame, x, y, 0.035, 0.022), b.shade)
    spread, look = b.chances(0.135, 0.15), b.chances(-0.03, 0.03)
    for s in (-1, 1):
        b.fill(circle(head, s * spread, 0.0, 0.15), b.dark)
        b.fill(circle(head, s * spread, 0.0, 0.125), WHITE)
        b.eye(head, s * spread + look, 0.0, 0.065)
    b.fill(triangle(head, ((0.0, -0.18), (0.06, -0.06), (-0.06, -0.06)), 0.012), BEAK)
    return Anchors(
        head, (0.0, 0.21), (0.0, 0.0), spread, (0.25, 0.20), (0.0, 0.37), 0.28, ((-0.13, -0.02), (0.13, -0.02)), b.frame
    )


def fish(b: Brush) -> Anchors:
    """A round body from the side with fins, a tail and stripes, on two short legs where it wears boots."""
    flap = b.chances(-0.06, 0.06)
    tail = np.minimum(
        triangle(b.frame, ((-0.24, 0.44), (-0.46, 0.66 + flap), (-0.50, 0.46 + flap)), 0.03),
        triangle(b.frame, ((-0.24, 0.42), (-0.50, 0.40 + flap), (-0.46, 0.20 + flap)), 0.03),
    )
    fin = triangle(b.frame, ((0.10, 0.62), (-0.16, 0.84), (-0.22, 0.60)), 0.03)
    b.outlined(
        np.minimum(np.minimum(tail, fin), triangle(b.frame, ((-0.10, 0.22), (-0.16, 0.08), (0.06, 0.20)), 0.02)),
        b.shade,
    )
    body = ellipse(b.frame, 0.04, 0.43, 0.36, b.chances(0.24, 0.28))
    b.outlined(body)
    b.fill(np.maximum(ellipse(b.frame, 0.08, 0.28, 0.27, 0.14), body), b.light)
    for x in (-0.22, -0.08):
        b.fill(np.maximum(np.abs(b.frame.x - x + (b.frame.y - 0.43) ** 2) - F(0.035), body + F(0.01)), b.shade)
    b.outlined(ellipse(b.frame, -0.03, 0.36, 0.085, 0.055, b.chances(-0.5, 0.3)), b.shade)
    spread, look = b.chances(0.085, 0.10), b.chances(0.0, 0.02)
    for s in (-1, 1):
        b.fill(circle(b.frame, 0.20 + s * spread, 0.50, 0.078), WHITE)
        b.eye(b.frame, 0.20 + s * spread + look, 0.50, 0.05)
    b.fill(ellipse(b.frame, 0.31, 0.35, 0.04, 0.028), b.dark)
    b.fill(ellipse(b.frame, 0.15, 0.37, 0.05, 0.03), ROSE, 0.55)
    return Anchors(
        b.frame,
        (0.10, 0.66),
        (0.20, 0.50),
        spread,
        (-0.29, 0.44),
        (0.03, 0.28),
        0.25,
        ((-0.08, 0.10), (0.16, 0.10)),
        b.frame,
    )


def snail(b: Brush) -> Anchors:
    """A shell with a spiral, a long foot, two eyes on stalks."""
    reach, sway = b.chances(0.32, 0.36), b.chances(-0.05, 0.05)
    foot = stroke(b.frame, -0.42, 0.05, 0.26, 0.07, 0.03, 0.075)
    neck = stroke(b.frame, 0.26, 0.08, reach, 0.40, 0.085, 0.11)
    flesh = np.minimum(foot, neck)
    eyes = [(reach + s * 0.115 + sway, 0.68) for s in (-1, 1)]
    for (x, y), s in zip(eyes, (-1, 1), strict=True):
        flesh = np.minimum(flesh, stroke(b.frame, reach + s * 0.05, 0.42, x, y, 0.03, 0.022))
    b.outlined(flesh, b.light)
    round_ = b.chances(0.26, 0.29)
    shell = circle(b.frame, -0.07, 0.34, round_)
    b.outlined(shell)
    coil = b.frame.around(-0.07, 0.34)
    far = np.sqrt(coil.x * coil.x + coil.y * coil.y)
    turn = np.arctan2(coil.y, coil.x) / F(2 * np.pi)
    gap = F(0.125)
    arm = np.abs((far / gap - turn + F(0.4)) % F(1) - F(0.5)) * gap
    b.fill(np.maximum(arm - F(0.02), shell + F(0.02)), b.shade * F(0.8))
    for x, y in eyes:
        b.fill(circle(b.frame, x, y, 0.075), b.dark)
        b.fill(circle(b.frame, x, y, 0.06), WHITE)
        b.eye(b.frame, x + 0.012, y, 0.042)
    b.fill(ellipse(b.frame, reach - 0.04, 0.33, 0.045, 0.03), ROSE, 0.6)
    b.fill(stroke(b.frame, reach + 0.0, 0.345, reach + 0.07, 0.37, 0.012, 0.012), b.dark)
    return Anchors(
        b.frame,
        (reach, 0.49),
        (reach + sway, 0.68),
        0.115,
        (-0.10, 0.62),
        (0.31, 0.22),
        0.14,
        ((-0.16, 0.0), (0.22, 0.0)),
        b.frame,
    )


DRAW: dict[str, Callable[[Brush], Anchors]] = {f.__name__: f for f in (cat, dog, rabbit, bear, fox, owl, fish, snail)}
