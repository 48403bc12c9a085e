"""The report's figures: rows of a label, a strip and a value, and small line charts. Inline SVG, no script.

Positions along a strip are shares of its width, so that a figure fits a phone and a sheet of paper with letters of the
same size. Colours are classes, and never alone: base and one's own are hollow, the model is filled, its middle a wedge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

HEIGHT = 26
MINUS = "\u2212"
MOST_DOTS = 60
MARKS = {
    "interval": '<line class="interval {of}" x1="1" x2="21" y1="6" y2="6"/>'
    '<circle class="point {of}" cx="11" cy="6" r="4"/>',
    "dot": '<circle class="dot {of}" cx="11" cy="6" r="3"/>',
    "spread": '<rect class="spread" width="22" height="12" rx="2"/>',
    "median": '<path class="median model" d="M11 1 l-6 10 h12 z"/>',
    "line": '<polyline class="{of}" points="0,6 22,6"/>',
    "dashed": '<polyline class="{of} dashed" points="0,6 22,6"/>',
    "zero": '<line class="zero" x1="11" x2="11" y1="0" y2="12"/>',
}
"""What stands before the words of a key."""


@dataclass(frozen=True)
class Scale:
    """From numbers to places along a strip, a little room at both ends."""

    low: float
    high: float

    @classmethod
    def over(cls, *values: float | None) -> Scale:
        """Return the scale that holds all of them."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room)

    def place(self, value: float) -> str:
        """Return the place of a number."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(1.0, max(0.0, share)):.2f}%"

    def ticks(self, most: int = 5) -> list[float]:
        """Return round numbers inside, at most so many and one."""
        wide = self.high - self.low
        step = 10 ** math.floor(math.log10(wide / most))
        step = next(step * k for k in (1, 2, 2.5, 5, 10, 20) if wide / (step * k) <= most)
        return [i * step for i in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


@dataclass(frozen=True)
class Point:
    """A value with its interval."""

    of: str
    """`you`, `model` or `base`."""
    bounds: tuple[float, float, float]
    """Low, value, high."""


def strip(name: str, drawn: str, value: str, about: str, height: int = HEIGHT) -> str:
    """Return one row: what it is, its drawing, its numbers.

    Args:
        about: the drawing in words.
    """
    return (
        f'<div class="strip"><div class="name">{name}</div><div class="drawn"><svg height="{height}" role="img" '
        f'aria-label="{escape(about)}">{drawn}</svg></div><div class="value">{value}</div></div>'
    )


def strips(rows: Sequence[str], scale: Scale | None = None, form: str = "", unit: str = "") -> str:
    """Return rows one under the other, with the scale they share."""
    below = ticks(scale, form, unit) if scale else ""
    return f'<div class="strips">{"".join(rows)}{below}</div>'


def points(scale: Scale, found: Sequence[Point], zero: float | None = None, height: int = HEIGHT) -> str:
    """Return intervals with their values, one under the other."""
    parts = [level(scale, scale.low, scale.high, height - 2, "axis")]
    if zero is not None:
        parts.append(upright(scale, zero, "zero", height))
    step = (height - 2) / (len(found) + 1)
    for number, one in enumerate(found, 1):
        low, value, high = one.bounds
        parts.append(level(scale, low, high, number * step, f"interval {one.of}"))
        parts.append(f'<circle class="point {one.of}" cx="{scale.place(value)}" cy="{number * step:.1f}" r="4.5"/>')
    return "".join(parts)


def spread(scale: Scale, low: float, high: float, own: Sequence[float], outputs: Sequence[float], middle: float) -> str:
    """Return one's own texts as dots over their middle range, the model's below, its middle as a wedge."""
    width = 100 * (high - low) / (scale.high - scale.low)
    parts = [
        f'<rect class="spread" x="{scale.place(low)}" y="0" width="{width:.2f}%" height="{HEIGHT}" rx="2"/>',
        upright(scale, low, "edge", HEIGHT),
        upright(scale, high, "edge", HEIGHT),
        dots(scale, "you", own, 7),
        dots(scale, "model", outputs, 16),
        f'<svg x="{scale.place(middle)}" y="18" width="1" height="1" overflow="visible">'
        '<path class="median model" d="M0 0 l-5 8 h10 z"/></svg>',
    ]
    return "".join(parts)


def dots(scale: Scale, of: str, values: Sequence[float], y: float) -> str:
    """Return a dot for each value; where there are very many, as many as can be seen."""
    line_up = sorted(values)
    if len(line_up) > MOST_DOTS:
        line_up = [line_up[round(i * (len(line_up) - 1) / (MOST_DOTS - 1))] for i in range(MOST_DOTS)]
    return "".join(f'<circle class="dot {of}" cx="{scale.place(value)}" cy="{y}" r="3"/>' for value in line_up)


def level(scale: Scale, low: float, high: float, y: float, kind: str) -> str:
    """Return a level line from one number to another."""
    return f'<line class="{kind}" x1="{scale.place(low)}" x2="{scale.place(high)}" y1="{y:.1f}" y2="{y:.1f}"/>'


def upright(scale: Scale, value: float, kind: str, height: int) -> str:
    """Return an upright line at a number."""
    place = scale.place(value)
    return f'<line class="{kind}" x1="{place}" x2="{place}" y1="0" y2="{height}"/>'


def ticks(scale: Scale, form: str, unit: str) -> str:
    """Return the row under strips that share one scale."""
    marks = "".join(
        f'<text x="{scale.place(value)}" y="12" text-anchor="middle">{_tick(value, form)}</text>'
        for value in scale.ticks()
    )
    return (
        f'<div class="strip" aria-hidden="true"><div class="name small soft">{escape(unit)}</div>'
        f'<div class="drawn"><svg height="16">{marks}</svg></div><div class="value"></div></div>'
    )


def _tick(value: float, form: str) -> str:
    return format(value, form).replace("-", MINUS) if abs(value) > 1e-12 else format(0.0, form.replace("+", ""))


@dataclass(frozen=True)
class Curve:
    """A line of a chart; gaps where there is nothing."""

    of: str
    values: Sequence[float | None]
    is_dashed: bool = False


def plot(curves: Sequence[Curve], ends: tuple[str, str], about: str, form: str = ".2g") -> str:
    """Return a line chart over the same places.

    Args:
        ends: what the left and right end are.
        about: the chart in words.
    """
    scale = Scale.over(*(value for curve in curves for value in curve.values))
    drawn = []
    for curve in curves:
        last = max(1, len(curve.values) - 1)
        for run in _runs(curve.values):
            placed = " ".join(
                f"{100 * i / last:.2f},{100 * (scale.high - value) / (scale.high - scale.low):.2f}" for i, value in run
            )
            drawn.append(f'<polyline class="{curve.of}{" dashed" * curve.is_dashed}" points="{placed}"/>')
    return (
        f'<div class="plot"><div class="y" aria-hidden="true"><span>{scale.high:{form}}</span>'
        f'<span>{scale.low:{form}}</span></div><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(about)}">{"".join(drawn)}</svg><div class="x" aria-hidden="true">'
        f"<span>{escape(ends[0])}</span><span>{escape(ends[1])}</span></div></div>"
    )


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Return the stretches without gaps."""
    found: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(values):
        if value is None or not math.isfinite(value):
            found.append([])
        else:
            found[-1].append((i, value))
    return [run for run in found if run]


def key(*entries: tuple[str, str]) -> str:
    """Return what marks mean: `interval-base`, `dot-model`, `spread`, ..., each with its words."""
    listed = []
    for mark, words in entries:
        shape, _, of = mark.partition("-")
        drawn = MARKS[shape].format(of=of)
        listed.append(f'<li><svg aria-hidden="true" viewBox="0 0 22 12">{drawn}</svg>{escape(words)}</li>')
    return f'<ul class="key">{"".join(listed)}</ul>'
