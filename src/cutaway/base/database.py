"""The database of a folder of runs, `cutaway.db`: jobs, and what people said of answers.

Every call opens it anew: threads and processes share nothing but the file, and SQLite's write-ahead log lets them read
while another writes. Only the standard library is imported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DATABASE = "cutaway.db"
BUSY_SECONDS = 20.0


@contextmanager
def opened(home: Path) -> Iterator[sqlite3.Connection]:
    """Open the database of a folder of runs for one transaction."""
    connection = sqlite3.connect(home / DATABASE, timeout=BUSY_SECONDS)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        with connection:
            yield connection
    finally:
        connection.close()
