"""A growing file of JSON lines as columns of numbers, read once: only what was added since is parsed again.

A line `{"step": 3, "loss": 2.1, "layer_grad_norms": {"blocks.0": 0.4}}` fills the columns `step`, `loss` and
`layer_grad_norms.blocks.0`. What a line does not have was not measured and is NaN, never 0. Text is left out.
"""

from __future__ import annotations

import json
import math
import os
import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

MOST_CACHED_BYTES = 128 << 20


class JsonColumns:
    """The columns of one file. `refresh` looks whether it has grown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._forget(0)

    def _forget(self, inode: int) -> None:
        self.n_rows, self._n_numbers, self._offset, self._inode = 0, 0, 0, inode
        self._columns: dict[str, tuple[array[int], array[float]]] = {}

    @property
    def version(self) -> int:
        """A number that changes when lines were taken away (a run went on from an earlier step), not when some are
        added."""
        return self._inode

    @property
    def n_bytes(self) -> int:
        """Memory the numbers take, about."""
        return 16 * self._n_numbers

    def refresh(self) -> JsonColumns:
        """Read what was added; begin again when the file was replaced. A last line without an end waits."""
        with self._lock:
            try:
                with self.path.open("rb") as file:
                    status = os.fstat(file.fileno())
                    if status.st_ino != self._inode or status.st_size < self._offset:
                        self._forget(status.st_ino)
                    if status.st_size > self._offset:
                        file.seek(self._offset)
                        self._read(file.read(status.st_size - self._offset))
            except FileNotFoundError:
                self._forget(0)
        return self

    def _read(self, data: bytes) -> None:
        end = data.rfind(b"\n") + 1
        for line in data[:end].splitlines(keepends=True):
            try:
                record = json.loads(line)
            except ValueError:
                return  # a line broken by a crash: nothing after it can be trusted
            for name, value in flat_numbers(record):
                column = self._columns.get(name)
                if column is None:
                    column = self._columns[name] = (array("q"), array("d"))
                column[0].append(self.n_rows)
                column[1].append(value)
                self._n_numbers += 1
            self.n_rows += 1
            self._offset += len(line)

    @property
    def names(self) -> list[str]:
        """The columns there are, in the order in which they appeared."""
        return list(self._columns)

    def dense(self, name: str, first: int = 0) -> Numbers:
        """Return a column from row `first` on, NaN where it was not measured."""
        import numpy as np

        with self._lock:
            numbers = np.full(max(0, self.n_rows - first), math.nan)
            if name in self._columns:
                rows, values = self._columns[name]
                at = bisect_left(rows, first)
                numbers[np.array(rows[at:], dtype=np.int64) - first] = np.array(values[at:])
            return numbers

    def measured(self, name: str) -> tuple[NDArray[np.int64], Numbers]:
        """Return the rows in which a column was measured, and its values there."""
        import numpy as np

        with self._lock:
            rows, values = self._columns.get(name, (array("q"), array("d")))
            return np.array(rows, dtype=np.int64), np.array(values, dtype=np.float64)

    def last(self, name: str) -> float | None:
        """Return the latest value of a column, or None if there is none."""
        with self._lock:
            return self._columns[name][1][-1] if name in self._columns else None


def flat_numbers(record: dict[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of nested dictionaries by their dotted names."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from flat_numbers(value, f"{path}{name}.")
        elif isinstance(value, (int, float)):
            yield path + name, value


class ColumnCache:
    """The columns of the files lately asked for; those not asked for longest are forgotten first."""

    def __init__(self, most_bytes: int = MOST_CACHED_BYTES) -> None:
        self.most_bytes = most_bytes
        self._files: OrderedDict[Path, JsonColumns] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path) -> JsonColumns:
        """Return a file's columns, up to date."""
        with self._lock:
            columns = self._files.setdefault(path, JsonColumns(path))
            self._files.move_to_end(path)
        columns.refresh()
        with self._lock:
            while len(self._files) > 1 and sum(file.n_bytes for file in self._files.values()) > self.most_bytes:
                self._files.popitem(last=False)
        return columns
