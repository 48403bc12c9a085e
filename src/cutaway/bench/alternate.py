"""Two sides, in turn: a fair race on a machine that others use too.

A disturbance of some seconds hits both sides when they take turns; medians forget it. The figure to quote is the ratio.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Race:
    """Times of two sides that took turns, in seconds a turn."""

    what: str
    ours: list[float]
    theirs: list[float]
    bar: float | None = None
    """The ratio we set out to reach."""

    @property
    def ratio(self) -> float:
        """How many times faster ours is: the median of their times over the median of ours."""
        return statistics.median(self.theirs) / statistics.median(self.ours)

    def as_dict(self) -> dict[str, float | str | None]:
        """Return the race as plain facts."""
        return {
            "what": self.what,
            "ours_ms": 1000 * statistics.median(self.ours),
            "theirs_ms": 1000 * statistics.median(self.theirs),
            "ratio": self.ratio,
            "bar": self.bar,
        }


def alternate(
    what: str, ours: Callable[[], float], theirs: Callable[[], float], rounds: int, bar: float | None = None
) -> Race:
    """Let the sides take turns, each returning the seconds of its turn; the first turn of each warms up and is not
    counted."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for side, run in zip(times, (ours, theirs), strict=True):
            seconds = run()
            if number:
                side.append(seconds)
    return Race(what, *times, bar)
