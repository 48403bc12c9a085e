"""Intervals: published answers, the coverage they promise, and nothing claimed where nothing is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cutaway.base.errors import UsageError
from cutaway.voice.bootstrap import bootstrap, difference, mean, rate, ratio
from cutaway.voice.student import student_quantile, welch

SPATIAL = [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41]
"""Test A of 26 children: Efron & Tibshirani 1993, table 14.1."""


def variance(rows: np.ndarray) -> float:
    return float(((rows - rows.mean()) ** 2).mean())


def test_the_published_bca_interval() -> None:
    """Efron & Tibshirani, table 14.2: 171.5, BCa (115.8, 259.6), where plain percentiles give (100.8, 233.9)."""
    found = bootstrap(SPATIAL, variance, expanded=False, draws=8000)
    assert found.value == pytest.approx(171.53, abs=0.01)
    assert found.low == pytest.approx(115.8, abs=4)
    assert found.high == pytest.approx(259.6, abs=5)
    assert found.n == 26
    wider = bootstrap(SPATIAL, variance, draws=8000)
    assert wider.low < found.low
    assert wider.high > found.high


def test_student_quantiles() -> None:
    table = {1: 6.3138, 2: 2.9200, 3: 2.3534, 4: 2.1318, 5: 2.0150, 10: 1.8125, 30: 1.6973, 120: 1.6577, 400: 1.6487}
    for freedom, known in table.items():
        assert student_quantile(0.95, freedom) == pytest.approx(known, abs=1e-4)
    assert student_quantile(0.975, 9) == pytest.approx(2.2622, abs=1e-4)


@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_ninety_percent_cover_about_ninety_percent_of_the_time(kind: str) -> None:
    generator = np.random.default_rng(3)
    hits = 0
    for seed in range(500):
        values = generator.normal(size=12) if kind == "normal" else generator.exponential(size=12) - 1
        found = bootstrap(values, mean, seed, draws=200)
        hits += found.low <= 0 <= found.high
    assert 0.84 <= hits / 500 <= 0.94  # 0.013 is the standard deviation of the count


def test_rows_of_one_document_are_drawn_together() -> None:
    """Ten documents, each said twenty times, tell no more than ten; counted one by one they claim to."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=10)
    repeated, names = np.repeat(values, 20), [f"essay {i}" for i in range(10) for _ in range(20)]
    plain, grouped, naive = bootstrap(values), bootstrap(repeated, groups=names), bootstrap(repeated)
    assert grouped.n == 10
    assert naive.n == 200
    assert (grouped.low, grouped.high) == pytest.approx((plain.low, plain.high), rel=1e-12)
    assert naive.high - naive.low < 0.4 * (plain.high - plain.low)


def test_ratios_are_of_sums() -> None:
    rows = [[10.0, 10.0], [30.0, 10.0], [200.0, 100.0]]
    found = bootstrap(rows, ratio)
    assert found.value == 2.0
    assert found.low <= 2 <= found.high


def test_the_difference_of_two_sets_of_documents() -> None:
    generator = np.random.default_rng(2)
    hits, lengths = 0, (40, 7)
    for seed in range(200):
        first, second = (generator.normal(size=n) for n in lengths)
        found = difference(first, second + 1, seed=seed, draws=200)
        assert found.value == pytest.approx(second.mean() + 1 - first.mean())
        hits += found.low <= 1 <= found.high
    assert 0.83 <= hits / 200 <= 0.96
    rows = np.stack([np.repeat(generator.normal(size=6), 9), np.ones(54)], 1)
    documents = np.repeat(np.arange(6), 9).tolist()
    apart = difference(rows, rows, ratio, first_groups=documents, second_groups=documents)
    assert apart.n == 6
    assert apart.high - apart.low > 2 * (difference(rows, rows, ratio).high - difference(rows, rows, ratio).low)
    assert not difference([1.0], [2.0, 3.0]).is_known
    assert difference([], [2.0]).text() == "not computed"
    assert (welch(10, 10), welch(60, 7), welch(1, 9)) == (18, 7, 1)


def test_all_draws_at_once_are_the_draws_one_by_one() -> None:
    generator = np.random.default_rng(4)
    rows, names = generator.normal(5, 1, (30, 2)), generator.integers(0, 7, 30).tolist()
    for known, plain in ((mean, lambda x: float(x.mean())), (ratio, lambda x: float(x[:, 0].sum() / x[:, 1].sum()))):
        values = rows[:, 0] if known is mean else rows
        one, other = (bootstrap(values, statistic, 3, names) for statistic in (known, plain))
        assert (one.low, one.value, one.high) == pytest.approx((other.low, other.value, other.high), rel=1e-12)


def test_seeds_and_levels() -> None:
    values = np.random.default_rng(1).normal(size=20)
    assert bootstrap(values, seed=4) == bootstrap(values, seed=4)
    assert bootstrap(values, seed=4) != bootstrap(values, seed=5)
    assert bootstrap(values, level=0.5).high < bootstrap(values, level=0.95).high


def test_what_cannot_vary_has_no_interval() -> None:
    one = bootstrap([3.0])
    assert (one.value, one.is_known, one.above(0)) == (3.0, False, False)
    assert "1 document cannot vary" in one.text()
    assert bootstrap([3.0, 4.0], groups=["a", "a"]).is_known is False
    nothing = bootstrap([])
    assert nothing.text() == "not computed"
    assert json.loads(json.dumps(nothing.as_dict(), allow_nan=False))["value"] is None
    alike = bootstrap([2.0, 2.0, 2.0])
    assert (alike.low, alike.high, alike.how) == (2.0, 2.0, "all documents are alike")
    assert not bootstrap([[1.0, 0.0], [0.0, 0.0]], ratio).is_known


def test_never_in_a_dozen_documents_is_not_never() -> None:
    none = rate([0] * 12, [5] * 12)
    assert none.high == pytest.approx(1 - 0.05 ** (1 / 12))  # 22 %
    assert math.isclose((1 - none.high) ** 12, 0.05)
    every = rate([5] * 12, [5] * 12)
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(1 - none.high)
    some = rate([1, 0, 0, 2], [5, 5, 0, 5])
    assert some.value == pytest.approx(3 / 15)
    assert some.n == 3
    assert rate([], []).n == 0


def test_wrong_requests() -> None:
    with pytest.raises(UsageError, match="a group for each value"):
        bootstrap([1.0, 2.0], groups=["a"])
    with pytest.raises(UsageError, match="the level is 90"):
        bootstrap([1.0, 2.0], level=90)
