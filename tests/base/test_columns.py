"""Columns of a growing file: what lines say, NaN where they do not, each byte read once."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from cutaway.base.columns import ColumnCache, JsonColumns


def test_nested_numbers_become_columns_and_what_is_missing_is_nan(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"step": 1, "loss": 2, "by": {"x": 0.5, "y": {"z": true}}}\n{"step": 2, "word": "no"}\n')
    columns = JsonColumns(file).refresh()
    assert columns.names == ["step", "loss", "by.x", "by.y.z"]
    np.testing.assert_array_equal(columns.dense("loss"), [2, math.nan])
    np.testing.assert_array_equal(columns.dense("loss", 1), [math.nan])
    assert columns.dense("loss", 9).shape == (0,)
    assert columns.dense("nothing").shape == (2,)
    assert columns.measured("by.x")[0].tolist() == [0]
    assert (columns.last("loss"), columns.last("nothing")) == (2.0, None)


def test_only_what_was_added_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"step": 1}\n')
    columns = JsonColumns(file).refresh()
    with file.open("r+") as lines:
        lines.write('{"step": 7}\n{"step": 2}\n{"st')  # the first line changes under our eyes: it is not read again
    assert columns.refresh().dense("step").tolist() == [1, 2]
    assert columns.refresh().n_rows == 2
    file.unlink()
    assert columns.refresh().n_rows == 0
    file.write_text("nonsense\n" + json.dumps({"step": 3}) + "\n")
    assert columns.refresh().n_rows == 0


def test_the_cache_forgets_what_was_not_asked_for(tmp_path: Path) -> None:
    cache = ColumnCache(most_bytes=16 * 250)
    files = [tmp_path / f"{i}.jsonl" for i in range(3)]
    for file in files:
        file.write_text("".join(json.dumps({"step": i}) + "\n" for i in range(100)))
    first = cache.get(files[0])
    assert cache.get(files[0]) is first
    cache.get(files[1])
    assert cache.get(files[0]) is first
    cache.get(files[2])
    assert cache.get(files[0]) is first
    assert cache.get(files[1]).n_rows == 100
    assert cache.get(files[2]).n_rows == 100
