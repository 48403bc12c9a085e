"""A figure of the model's texts beside the same figure of one's own, the spread between one's own as the yardstick.

One's own texts differ from each other. So a difference means something only where it leaves the range in which the middle
80 % of one's own texts lie (the 10th to the 90th percentile): `within` says that the median of the model's texts lies
there, `below` and `above` that it does not. It is a rule for how large a difference is, not a test of whether there is
one: for that see two_sample.py.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

LEAST_TEXTS = 5
"""Of either side: with fewer, there is no spread to speak of."""
TOO_LITTLE: Final = "not enough data"

Verdict = Literal["within", "below", "above", "not enough data"]


@dataclass(frozen=True)
class Compared:
    """One figure: where one's own texts lie, and where the model's."""

    name: str
    """What is measured, in words."""
    unit: str
    own: tuple[float, ...]
    """Of every stretch of one's own writing."""
    outputs: tuple[float, ...]
    """Of every stretch of the model's."""
    low: float | None
    """The 10th percentile of one's own."""
    high: float | None
    """The 90th."""
    median: float | None
    """Of the outputs."""
    verdict: Verdict
    why: str = ""
    """What is missing, where there is not enough data."""
    decimals: int = 2

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, and the sentence."""
        return as_plain(self) | {"sentence": self.sentence()}

    def sentence(self) -> str:
        """Say the figure in one sentence."""
        if self.low is None or self.high is None or self.median is None:
            return f"{self.name}: not enough data to say ({self.why})."
        low, high, median = (f"{x:.{self.decimals}f}" for x in (self.low, self.high, self.median))
        unit = f" {self.unit}" if self.unit else ""
        place = {"within": "within", "below": "below that", "above": "above that"}[self.verdict]
        return f"{self.name}: {low} to {high}{unit} in your own writing, {median} in the model's: {place}."


def compared(
    name: str,
    unit: str,
    own: Sequence[float],
    outputs: Sequence[float],
    decimals: int = 2,
    missing: str = "",
) -> Compared:
    """Compare one figure; values that are not numbers are left out.

    Args:
        missing: said already to be missing: then there is not enough data, whatever the values.
    """
    ours = tuple(sorted(x for x in own if math.isfinite(x)))
    theirs = tuple(sorted(x for x in outputs if math.isfinite(x)))
    why = missing or missing_texts(len(ours), len(theirs))
    if why:
        return Compared(name, unit, ours, theirs, None, None, None, TOO_LITTLE, why, decimals)
    low, high = (float(x) for x in np.percentile(ours, [10, 90]))
    median = float(np.median(theirs))
    slack = 1e-9 * max(abs(low), abs(high), 1e-9)
    verdict: Verdict = "below" if median < low - slack else "above" if median > high + slack else "within"
    return Compared(name, unit, ours, theirs, low, high, median, verdict, "", decimals)


def missing_texts(n_own: int, n_outputs: int) -> str:
    """Say how many texts are missing, or nothing."""
    if n_own >= LEAST_TEXTS and n_outputs >= LEAST_TEXTS:
        return ""
    return f"{n_own} of your texts and {n_outputs} of the model's are long enough; {LEAST_TEXTS} of each are needed"


def as_plain(value: Any) -> Any:
    """Return dataclasses as dicts, tuples as lists, and numbers that are not finite as None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: as_plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): as_plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [as_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
