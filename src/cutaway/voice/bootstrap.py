"""How far a number could be off: intervals by drawing the documents again, with replacement.

    value = statistic(documents);  draw b = statistic(n of the n documents, drawn with replacement), b = 1 .. 2,000

BCa (Efron 1987; Efron & Tibshirani 1993, chapter 14) takes those quantiles of the draws that correct for the statistic's
bias, z0 = Phi^-1(share of draws below the value), and skew, a = sum d^3 / (6 (sum d^2)^1.5) with d the jackknife's
differences:

    quantile = Phi(z0 + (z0 + z) / (1 - a (z0 + z)))        z = -1.645, 1.645 for 90 %

A dozen documents spread less than what they were drawn from, and plain intervals are too short. Hesterberg 2015
(arXiv:1411.5279) takes z = sqrt(n / (n - 1)) t instead, t the quantile of Student's distribution; so do we.

The unit is the document, never the pair or the token: pairs cut from one essay are alike, and counting each makes
intervals far too short. Rows that belong together are drawn together (`groups`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cutaway.base.errors import UsageError
from cutaway.base.seed import numpy_generator
from cutaway.voice.student import student_quantile, welch

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], float]
LEVEL, DRAWS = 0.9, 2000
NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """A number and between what it may lie."""

    value: float
    low: float
    """NaN where nothing can be said, as for one document."""
    high: float
    n: int
    """How many documents (or splits, or secrets) it is of."""
    how: str
    """By what method, or why there are no bounds."""
    level: float = LEVEL

    @property
    def is_known(self) -> bool:
        """Whether there are bounds."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def above(self, number: float) -> bool:
        """Whether all of the interval is above a number; no interval never is."""
        return self.is_known and self.low > number

    def below(self, number: float) -> bool:
        """Whether all of the interval is below a number."""
        return self.is_known and self.high < number

    def text(self, form: str = ".3g") -> str:
        """Return it for people: `3.22 (2.98 to 3.47)`."""
        if not math.isfinite(self.value):
            return "not computed"
        if not self.is_known:
            return f"{self.value:{form}} (no interval: {self.how})"
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; what is not known is null."""
        numbers = {name: getattr(self, name) for name in ("value", "low", "high")}
        known = {name: float(number) if math.isfinite(number) else None for name, number in numbers.items()}
        return known | {"n": self.n, "how": self.how, "level": self.level}


def mean(rows: FloatArray) -> float:
    """Return the mean of the rows."""
    return float(rows.mean())


def ratio(rows: FloatArray) -> float:
    """Return the sum of the first column by the sum of the second: nats a token, bits a byte, hits a trial."""
    total = rows[:, 1].sum()
    return float(rows[:, 0].sum() / total) if total else math.nan


def bootstrap(
    values: ArrayLike,
    statistic: Statistic = mean,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    expanded: bool = True,
) -> Interval:
    """Return a statistic of rows with its BCa interval.

    Args:
        values: a number or a row of numbers for each document; for paired models give the differences, or rows.
        statistic: of an array of such rows.
        groups: which rows belong to the same document.
        expanded: widen for few documents, as explained above.

    Raises:
        UsageError: there are not as many groups as values, or the level is no share.
    """
    rows = np.asarray(values, np.float64)
    if not 0 < level < 1:
        raise UsageError(f"the level is {level}; expected a share between 0 and 1, as 0.9")
    if groups is not None and len(groups) != len(rows):
        raise UsageError(f"there are {len(rows)} values and {len(groups)} groups; expected a group for each value")
    members = _members(len(rows), groups)
    n = len(members)
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, "there is nothing to measure", level)
    value = float(statistic(rows))
    generator = numpy_generator(seed, "bootstrap")
    picks = generator.integers(0, n, (draws, n)) if n > 1 else np.empty((0, 1), np.int64)
    drawn = _drawn(rows, members, picks, statistic)
    left_out = [statistic(np.delete(rows, mine, axis=0)) for mine in members] if n > 1 else []
    return from_draws(value, drawn, left_out, n, level=level, expanded=expanded)


def difference(
    first: ArrayLike,
    second: ArrayLike,
    statistic: Statistic = mean,
    seed: int = 0,
    first_groups: Sequence[Hashable] | None = None,
    second_groups: Sequence[Hashable] | None = None,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> Interval:
    """Return statistic(second) - statistic(first) of two sets of different documents, each drawn by itself."""
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    sides = [(one, _members(len(one), first_groups), -1.0), (other, _members(len(other), second_groups), 1.0)]
    n = min(len(members) for _, members, _ in sides)
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, "there is nothing to compare", level)
    value, drawn = 0.0, np.zeros(draws)
    generator = numpy_generator(seed, "bootstrap of two")
    for rows, members, sign in sides:
        value += sign * statistic(rows)
        picks = generator.integers(0, len(members), (draws, len(members)))
        drawn += sign * _drawn(rows, members, picks, statistic)
    left_out = []
    if n > 1:
        for rows, members, sign in sides:
            rest = value - sign * statistic(rows)
            left_out += [rest + sign * statistic(np.delete(rows, mine, axis=0)) for mine in members]
    return from_draws(value, drawn, left_out, n, freedom=welch(len(sides[0][1]), len(sides[1][1])), level=level)


def from_draws(
    value: float,
    drawn: ArrayLike,
    left_out: ArrayLike,
    n: int,
    *,
    freedom: int | None = None,
    level: float = LEVEL,
    expanded: bool = True,
) -> Interval:
    """Return the BCa interval of draws that were made elsewhere.

    Args:
        left_out: the statistic without each document in turn (jackknife).
        n: how many documents there are; the fewer if there are two kinds of them.
        freedom: degrees of freedom; left out: n - 1.
    """
    every = np.asarray(drawn, np.float64)
    draws = np.sort(every[np.isfinite(every)])
    if n < 2:
        return Interval(value, math.nan, math.nan, n, f"{n} document{'s' if n != 1 else ''} cannot vary", level)
    if not math.isfinite(value) or len(draws) < len(every) / 2:
        return Interval(value, math.nan, math.nan, n, "the figure cannot be computed on most draws", level)
    if math.isclose(draws[0], draws[-1], rel_tol=1e-9):
        return Interval(value, float(draws[0]), float(draws[0]), n, "all documents are alike", level)
    tail = (1 - level) / 2
    free = freedom or n - 1
    z = math.sqrt((free + 1) / free) * student_quantile(1 - tail, free) if expanded else NORMAL.inv_cdf(1 - tail)
    is_equal = np.isclose(draws, value, rtol=1e-9, atol=0)  # sums in another order differ in the last digits
    below = (np.sum((draws < value) & ~is_equal) + np.sum(is_equal) / 2) / len(draws)
    d = np.asarray(left_out, np.float64)
    d = d[np.isfinite(d)].mean() - d[np.isfinite(d)] if np.isfinite(d).any() else np.zeros(1)
    skew = float((d**3).sum() / (6 * (d**2).sum() ** 1.5)) if (d**2).sum() > 0 else 0.0
    bias = NORMAL.inv_cdf(min(max(below, 1 / (2 * len(draws))), 1 - 1 / (2 * len(draws))))
    shares = [_corrected(bias, skew, -z), _corrected(bias, skew, z)]
    low, high = np.quantile(draws, shares)
    return Interval(value, float(low), float(high), n, f"BCa bootstrap, {len(draws):,} draws", level)


def rate(hits: ArrayLike, trials: ArrayLike, seed: int = 0, *, level: float = LEVEL, draws: int = DRAWS) -> Interval:
    """Return a share of trials over documents, with an interval that also holds where nothing, or everything, hit.

    None of n documents does not mean never: a share p is found nowhere with a chance of (1 - p)^n, so the upper bound is
    1 - tail^(1/n) (Clopper & Pearson 1934, for documents that hit or do not), 22 % for a dozen.
    """
    hit, tried = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    hit, tried = hit[tried > 0], tried[tried > 0]
    found = bootstrap(np.stack([hit, tried], 1), ratio, seed, level=level, draws=draws)
    bound = ((1 - level) / 2) ** (1 / found.n) if found.n else math.nan
    if found.value == 0:
        return Interval(0.0, 0.0, 1 - bound, found.n, "exact: none of the documents", level)
    if found.value == 1:
        return Interval(1.0, bound, 1.0, found.n, "exact: all of the documents", level)
    return found


def _corrected(bias: float, skew: float, z: float) -> float:
    """Return which quantile of the draws to take."""
    below = 1 - skew * (bias + z)
    if below <= 0:  # so skewed that the correction turns round: all on that side
        return 0.0 if z < 0 else 1.0
    return NORMAL.cdf(bias + (bias + z) / below)


def _drawn(
    rows: FloatArray, members: list[NDArray[np.int64]], picks: NDArray[np.int64], statistic: Statistic
) -> FloatArray:
    """Return the statistic of every draw; means and ratios follow from each document's sums, all draws at once."""
    if not len(picks) or statistic not in (mean, ratio) or (statistic is mean and rows.ndim > 1):
        return np.array([statistic(rows[np.concatenate([members[i] for i in pick])]) for pick in picks])
    over, under = (rows, np.ones(len(rows))) if statistic is mean else (rows[:, 0], rows[:, 1])
    by_document = np.array([[over[mine].sum(), under[mine].sum()] for mine in members])
    sums = by_document[picks].sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[:, 1] != 0, sums[:, 0] / sums[:, 1], np.nan)


def _members(n_rows: int, groups: Sequence[Hashable] | None) -> list[NDArray[np.int64]]:
    """Return the rows of each document."""
    if groups is None:
        return list(np.arange(n_rows)[:, None])
    found: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        found.setdefault(group, []).append(row)
    return [np.array(mine) for mine in found.values()]
