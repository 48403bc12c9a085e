"""Portions hold every row once, in order; their means together are the mean of all."""

from __future__ import annotations

import numpy as np
import pytest

from cutaway.diffusion.portions import mean_of_portions, portions


@pytest.mark.parametrize(("count", "at_once"), [(0, 4), (1, 4), (4, 4), (7, 4), (9, 3), (5, 1)])
def test_every_row_once(count: int, at_once: int) -> None:
    rows = np.arange(count)
    parts = [rows[one] for one in portions(count, at_once)]
    assert all(0 < len(part) <= at_once for part in parts)
    assert [row for part in parts for row in part] == list(range(count))
    assert len(parts) == -(-count // at_once)
    assert all(one.stop <= count for one in portions(count, at_once))


def test_the_mean_of_unequal_portions_is_that_of_all_rows() -> None:
    values = np.random.default_rng(0).normal(size=11)
    parts = [values[one] for one in portions(11, 4)]
    found = mean_of_portions([float(part.mean()) for part in parts], [len(part) for part in parts])
    assert found == pytest.approx(values.mean())
    assert found != pytest.approx(np.mean([part.mean() for part in parts]))
