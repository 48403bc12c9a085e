"""Runs that change, as seen from outside: new lines of metrics, counts of samples and checkpoints, the status.

A look reads only what was written since the last one. Nobody says which runs to watch: a run that does not grow costs one
question to the file system.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cutaway.base.runs import RunFolder

BLOCK = 1 << 20


class RunNow(BaseModel):
    """How far a run is."""

    run: str
    made: str
    """Tells this run from an earlier one of the same name."""
    rows: int
    """Lines of metrics.jsonl."""
    samples: int
    checkpoints: int
    status: str
    """`running`, `finished`, `failed`, `stopped`, or `gone`."""
    total_steps: int | None
    """What the run is to make; None where its recipe does not say yet."""


@dataclass
class RunTail:
    """What was seen of one run."""

    run: RunFolder
    made: str
    total_steps: int | None
    status: str = ""
    samples: int = 0
    checkpoints: int = 0
    n_rows: int | None = None
    """Complete lines before `read`; counted when the first new line comes."""
    read: int = 0
    inode: int = 0
    marks: tuple[Any, ...] = field(default=())

    @classmethod
    def open(cls, run: RunFolder) -> RunTail:
        """Begin to watch a run, from its present state on."""
        tail = cls(run, identity(run), steps_of(run))
        facts = _facts(run.path / "metrics.jsonl")
        tail.inode, size = facts[0], facts[1]
        tail.read = _last_line_end(run.path / "metrics.jsonl", size)
        tail.look_around()
        return tail

    def look_around(self, grew: bool = False) -> bool:
        """Look at all but the metrics, which may have grown; return whether anything changed."""
        path = self.run.path
        marks = tuple(_facts(path / name) for name in ("samples.jsonl", "checkpoints", "summary.json"))
        before = (self.samples, self.checkpoints, self.status)
        if grew or marks != self.marks or self.status == "running":
            if marks[:1] != self.marks[:1]:
                self.samples = count_lines(path / "samples.jsonl")
            if marks[1:2] != self.marks[1:2] or self.status == "running":
                self.checkpoints = count_checkpoints(path)
            self.status = self.run.status()
            self.marks = marks
        return before != (self.samples, self.checkpoints, self.status)

    def new_rows(self) -> tuple[int, bytes, bool]:
        """Return the index of the first new line, the new complete lines, and whether the run went back before them."""
        path = self.run.path / "metrics.jsonl"
        inode, size, _ = _facts(path)
        went_back = False
        if inode != self.inode or size < self.read:
            went_back = self.inode != 0
            self.inode, self.read, self.n_rows = inode, _last_line_end(path, size) if went_back else 0, None
            if went_back:
                self.n_rows = count_lines(path, self.read)
                return self.n_rows, b"", True
        if size == self.read:
            return self.n_rows or 0, b"", False
        if self.n_rows is None:
            self.n_rows = count_lines(path, self.read)
        with path.open("rb") as file:
            file.seek(self.read)
            new = file.read(size - self.read)
        new = new[: new.rfind(b"\n") + 1]
        first = self.n_rows
        self.read += len(new)
        self.n_rows += new.count(b"\n")
        return first, new, went_back

    def last_row(self) -> tuple[int, bytes]:
        """Return the index of the last line seen, and the line; nothing where there is none."""
        rows = self.now().rows
        try:
            with (self.run.path / "metrics.jsonl").open("rb") as file:
                file.seek(max(0, self.read - BLOCK))
                lines = file.read(min(self.read, BLOCK)).splitlines()
        except OSError:
            return rows, b""
        return (rows - 1, lines[-1]) if rows and lines else (rows, b"")

    def now(self) -> RunNow:
        """Return how far the run is."""
        if self.n_rows is None:
            self.n_rows = count_lines(self.run.path / "metrics.jsonl", self.read)
        return RunNow(
            run=self.run.name, made=self.made, rows=self.n_rows, samples=self.samples, checkpoints=self.checkpoints,
            status=self.status, total_steps=self.total_steps,
        )  # fmt: skip


def identity(run: RunFolder) -> str:
    """Return what tells a run from an earlier one of the same name."""
    return "-".join(map(str, _facts(run.recipe_file)))


def steps_of(run: RunFolder) -> int | None:
    """Return the steps a run is to make, as its recipe says."""
    try:
        steps = tomllib.loads(run.recipe_file.read_text(encoding="utf-8")).get("train", {}).get("steps")
    except (OSError, ValueError):
        return None
    return steps if isinstance(steps, int) else None


def as_json_lines(lines: bytes) -> bytes:
    """Return JSON lines as the members of one JSON array; what JSON has no word for (NaN, infinite) becomes null."""
    if b"NaN" in lines or b"Infinity" in lines:
        parsed = [json.loads(line, parse_constant=lambda word: None) for line in lines.splitlines()]
        return b",".join(json.dumps(line).encode() for line in parsed)
    return b",".join(lines.splitlines())


def count_lines(path: Path, size: int | None = None) -> int:
    """Return how many complete lines a file has, in its first `size` bytes."""
    found, left = 0, size if size is not None else 1 << 62
    try:
        with path.open("rb") as file:
            while left and (block := file.read(min(BLOCK, left))):
                found += block.count(b"\n")
                left -= len(block)
    except OSError:
        return 0
    return found


def count_checkpoints(run: Path) -> int:
    """Return how many checkpoints a run has."""
    try:
        return sum(1 for entry in os.scandir(run / "checkpoints") if entry.name.isdigit())
    except OSError:
        return 0


def _facts(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def _last_line_end(path: Path, size: int) -> int:
    """Return where the last complete line ends."""
    at = size
    try:
        with path.open("rb") as file:
            while at:
                start = max(0, at - 4096)
                file.seek(start)
                found = file.read(at - start).rfind(b"\n")
                if found >= 0:
                    return start + found + 1
                at = start
    except OSError:
        return 0
    return 0
