"""Blocks of a table beside NumPy's numbers of each block."""

from __future__ import annotations

import numpy as np
import pytest

from cutaway.microscope.pooling import block_size, pool


@pytest.mark.parametrize("most", [1, 2, 7, 100, 5000, 65536])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (37, 41), (300, 7), (3, 2000)])
def test_blocks_are_as_many_as_may_be(shape: tuple[int, int], most: int) -> None:
    height, width = block_size(*shape, most)
    assert -(-shape[0] // height) * -(-shape[1] // width) <= most
    assert ((height, width) == (1, 1)) == (shape[0] * shape[1] <= most)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize(("height", "width"), [(1, 3), (4, 1), (5, 6), (40, 50), (7, 41)])
def test_a_block_is_told_by_its_numbers(height: int, width: int, dtype: type) -> None:
    table = (np.random.default_rng(0).standard_normal((37, 41)) * 3).astype(dtype)
    if dtype in (np.float32, np.float64):
        table[3, 4], table[20:, 30:] = np.inf, np.nan
    found = pool(table, height, width)
    for i, j in np.ndindex(*found.mean.shape):
        block = table[i * height : (i + 1) * height, j * width : (j + 1) * width].astype(np.float64)
        finite = block[np.isfinite(block)]
        assert found.strange[i, j] == min(block.size - finite.size, 255)
        if finite.size:
            assert found.mean[i, j] == pytest.approx(finite.mean(), rel=1e-12, abs=1e-12)
            assert (found.low[i, j], found.high[i, j]) == (finite.min(), finite.max())
        else:
            assert np.isnan([found.mean[i, j], found.low[i, j], found.high[i, j]]).all()


def test_large_numbers_do_not_look_infinite() -> None:
    found = pool(np.full((64, 64), 3e38, np.float32), 64, 64)
    assert found.mean[0, 0] == pytest.approx(float(np.float32(3e38)))
    assert not found.strange.any()
    found = pool(np.full((4, 4), 1.7e308), 4, 4)
    assert found.strange[0, 0] == 0
    assert (found.low[0, 0], found.high[0, 0]) == (1.7e308, 1.7e308)
