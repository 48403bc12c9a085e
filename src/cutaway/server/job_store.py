"""Jobs on disk: one table in `cutaway.db`, read and written by the lab and by the processes that do the jobs.

Only the standard library is imported, so that a job's own process starts at once.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from cutaway.base.database import DATABASE, opened

__all__ = ["DATABASE", "LOGS", "change", "claim", "end", "is_made", "log_file", "make", "opened", "rows", "tail"]

LOGS = ".jobs"
"""The folder of what the jobs said, beside the runs; a run's name cannot begin with a dot."""

SCHEMA = """
create table if not exists jobs (
    id integer primary key autoincrement,
    kind text not null,            -- train, trace, ...
    target text not null,          -- the run it is about
    words text not null,           -- the command behind `cutaway`, as JSON
    folder text not null,          -- where the command is started
    state text not null,           -- queued, running, done, failed, stopped
    reason text not null default '',
    wants_stop integer not null default 0,
    created real not null,
    started real,
    ended real,
    pid integer,                   -- of the process that does it; with `pid_started` no other process is meant
    pid_started real
);
create table if not exists facts (name text primary key, value text not null);
"""


def make(home: Path) -> None:
    """Make the tables where they are not."""
    with opened(home) as database:
        database.executescript(SCHEMA)


def is_made(home: Path) -> bool:
    """Whether the tables are there; the file may hold other things only."""
    if not (home / DATABASE).is_file():
        return False
    with opened(home) as database:
        return database.execute("select 1 from sqlite_master where name = 'facts'").fetchone() is not None


def rows(home: Path, where: str = "1", *values: Any) -> list[sqlite3.Row]:
    """Return jobs, newest first."""
    if not is_made(home):
        return []
    with opened(home) as database:
        return database.execute(f"select * from jobs where {where} order by id desc", values).fetchall()


def change(home: Path, number: int, only_in: str, **fields: Any) -> bool:
    """Set fields of a job if it is in a state; return whether it was."""
    names = ", ".join(f"{name} = ?" for name in fields)
    with opened(home) as database:
        done = database.execute(
            f"update jobs set {names} where id = ? and state = ?", (*fields.values(), number, only_in)
        )
        return done.rowcount == 1


def claim(home: Path, number: int, pid: int, pid_started: float) -> bool:
    """Let a process take a job on; return whether it was the first to ask."""
    with opened(home) as database:
        done = database.execute(
            "update jobs set pid = ?, pid_started = ? where id = ? and state = 'running' and pid is null",
            (pid, pid_started, number),
        )
        return done.rowcount == 1


def end(home: Path, number: int, state: str, reason: str = "") -> bool:
    """Write how a running job ended, unless somebody wrote it before."""
    return change(home, number, "running", state=state, reason=reason, ended=time.time())


def log_file(home: Path, number: int) -> Path:
    """Return where a job's output is kept."""
    return home / LOGS / f"{number}.log"


def tail(path: Path, size_bytes: int = 16_384) -> str:
    """Return the end of a text file; nothing where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size_bytes))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
