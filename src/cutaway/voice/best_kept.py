"""Answers chosen among several, kept with their run: `best.jsonl`, a line each time somebody asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutaway.base.runs import JsonLines, RunFolder, read_jsonl, timestamp

KEPT = "best.jsonl"


def keep_best(run: RunFolder, told: Mapping[str, Any]) -> None:
    """Add what was asked and answered to the run's file."""
    lines = JsonLines(run.path / KEPT)
    try:
        lines.append({"made": timestamp(), **told})
    finally:
        lines.close()


def kept_best(run: RunFolder) -> list[dict[str, Any]]:
    """Return what was asked and answered, the newest first."""
    return read_jsonl(run.path / KEPT)[::-1]
