"""What people said of answers, kept in the runs' database: which of two they would rather have written, and grades.

A vote is about two answers to one prompt by two models, known by the hashes of their weights; `first` and `second` are in
the order of these hashes, whatever side they stood on and whatever they were called then. Nothing is ever changed: who
rates the same pair again adds a vote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cutaway.base.database import DATABASE, opened
from cutaway.base.files import disk_errors
from cutaway.base.runs import timestamp

CHOICES = ("first", "second", "tie", "neither")
SCHEMA = """
create table if not exists votes (
    id integer primary key autoincrement,
    writing text not null,         -- the folder whose prompts were answered
    rater text not null,
    prompt text not null,          -- its name
    text text not null,            -- what was asked
    sample integer not null,
    first text not null, second text not null,                     -- the models, by name
    first_weights text not null, second_weights text not null,
    left_side text not null,       -- first or second: who stood on the left
    choice text not null,          -- first, second, tie, neither
    round integer not null,        -- 0: for the first time; 1: the same pair once more
    seconds real not null,
    made text not null
);
create table if not exists grades (
    id integer primary key autoincrement,
    writing text not null,
    rater text not null,
    prompt text not null, text text not null, sample integer not null,
    model text not null, weights text not null,
    dimension text not null,
    grade integer not null,        -- 1 to 5
    round integer not null,
    made text not null
);
"""


@dataclass(frozen=True)
class Vote:
    """Which of two answers somebody would rather have written."""

    rater: str
    prompt: str
    text: str
    sample: int
    first: str
    second: str
    first_weights: str
    second_weights: str
    left_side: str
    choice: str
    round: int
    seconds: float
    made: str = ""

    @property
    def unit(self) -> tuple[str, int, str, str]:
        """What was rated, whoever did it and whenever."""
        return self.text, self.sample, self.first_weights, self.second_weights


@dataclass(frozen=True)
class Grade:
    """How close one answer is to the writer, in one respect."""

    rater: str
    prompt: str
    text: str
    sample: int
    model: str
    weights: str
    dimension: str
    grade: int
    round: int
    made: str = ""

    @property
    def unit(self) -> tuple[str, int, str, str]:
        """What was graded, whoever did it and whenever."""
        return self.text, self.sample, self.weights, self.dimension


class Ratings:
    """The votes and grades about one folder of writing."""

    def __init__(self, runs: Path, writing: Path) -> None:
        self.runs, self.writing = runs, str(writing.resolve())

    def votes(self) -> list[Vote]:
        """Return every vote, oldest first."""
        return [Vote(*row) for row in self._rows("votes", Vote)]

    def grades(self) -> list[Grade]:
        """Return every grade, oldest first."""
        return [Grade(*row) for row in self._rows("grades", Grade)]

    def vote(self, vote: Vote) -> None:
        """Keep a vote."""
        self._add("votes", [vote])

    def grade(self, grades: Sequence[Grade]) -> None:
        """Keep grades, all or none."""
        self._add("grades", grades)

    def _rows(self, table: str, kind: type[Vote] | type[Grade]) -> list[sqlite3.Row]:
        if not (self.runs / DATABASE).is_file():
            return []
        names = ", ".join(kind.__dataclass_fields__)
        with self._database() as database:
            return database.execute(
                f"select {names} from {table} where writing = ? order by id", (self.writing,)
            ).fetchall()

    def _add(self, table: str, said: Sequence[Vote] | Sequence[Grade]) -> None:
        with disk_errors(self.runs / DATABASE):
            self.runs.mkdir(parents=True, exist_ok=True)
            with self._database() as database:
                for one in said:
                    row = {"writing": self.writing, **vars(one), "made": one.made or timestamp()}
                    marks = ", ".join("?" * len(row))
                    database.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", tuple(row.values()))

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with opened(self.runs) as database:
            database.executescript(SCHEMA)
            yield database
