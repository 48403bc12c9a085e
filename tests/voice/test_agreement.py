"""Agreement against published answers: Krippendorff's own example, Cohen's table, and what chance gives."""

from __future__ import annotations

import math
import random

import pytest

from cutaway.voice.agreement import cohen_kappa, krippendorff_alpha

# Krippendorff 2011: four observers, twelve units, some missing; alpha nominal 0.743, interval 0.849
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = [[rating for rating in unit if rating is not None] for unit in zip(*OBSERVERS, strict=True)]


def test_krippendorffs_example() -> None:
    assert krippendorff_alpha(UNITS) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(UNITS, "interval") == pytest.approx(0.849, abs=5e-4)


def test_cohens_example() -> None:
    """The textbook table: both yes 20, only the first 5, only the second 10, both no 15; kappa 0.4."""
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_all_agree_and_chance() -> None:
    draw = random.Random(0)
    assert krippendorff_alpha([[one, one] for one in "abcab"]) == 1
    assert cohen_kappa("abcab", "abcab") == 1
    random_units = [[draw.randint(0, 3), draw.randint(0, 3)] for _ in range(4000)]
    assert abs(krippendorff_alpha(random_units)) < 0.03
    assert abs(cohen_kappa(*zip(*random_units, strict=True))) < 0.03
    assert krippendorff_alpha([["a", "b"], ["b", "a"]]) < 0


def test_where_nothing_can_be_said() -> None:
    for units in ([], [["a"]], [["a", "a"], ["a", "a"]]):
        assert math.isnan(krippendorff_alpha(units))
    assert math.isnan(cohen_kappa([], []))
    assert math.isnan(cohen_kappa("aa", "aa"))
