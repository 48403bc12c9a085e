"""Writing folders in the lab's home: those that hold pieces.jsonl. A client names them by their path inside the home."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cutaway.base.errors import DataError, UsageError, suggest
from cutaway.base.files import check_name

PIECES = "pieces.jsonl"
DEEPEST = 3
"""A writing folder lies at most so many folders under the home."""


class Writing(BaseModel):
    """One writing folder, and how far it came."""

    name: str
    """Its path inside the home, as the address has it."""
    path: str
    """Where it is on the lab's machine: what a command takes."""
    is_cleaned: bool
    train: int | None
    """Pairs to train on, once they were made."""
    held_out: int | None
    changed: float
    """When it last changed, in seconds since 1970."""


def find_writings(home: Path) -> list[Path]:
    """Return all writing folders, those that changed last first."""
    found = list(_under(home, DEEPEST)) if home.is_dir() else []
    return sorted(found, key=lambda folder: (-changed(folder), str(folder)))


def _under(folder: Path, depth: int) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            if (path / PIECES).is_file():
                yield path
            elif depth > 1 and not (path / "recipe.toml").is_file():
                yield from _under(path, depth - 1)


def changed(folder: Path) -> float:
    """Return when a file of the folder last changed."""
    names = (PIECES, "cleaned.jsonl", "topics.toml", "pairs.json", "import.json")
    return max(((folder / name).stat().st_mtime for name in names if (folder / name).is_file()), default=0.0)


def describe(home: Path, folder: Path) -> Writing:
    """Return how far a writing folder came."""
    pairs = read_json(folder / "pairs.json")
    return Writing(
        name=folder.relative_to(home).as_posix(),
        path=str(folder.absolute()),
        is_cleaned=(folder / "cleaned.jsonl").is_file(),
        train=pairs.get("train"),
        held_out=pairs.get("held_out"),
        changed=changed(folder),
    )


def place_of(home: Path, name: str) -> Path:
    """Return where a writing folder of this name lies or would lie.

    Raises:
        UsageError: the name leads out of the home, or to something else there.
    """
    parts = name.split("/")
    if len(parts) > DEEPEST:
        raise UsageError(f"the folder {name!r} is too deep; at most {DEEPEST} names, parted by /")
    path = home
    for part in parts:
        path /= check_name(part, "folder name")
        if path.is_symlink():
            raise UsageError(f"{name!r} leads through a link; the lab does not follow it")
        if (path / "recipe.toml").is_file():
            raise UsageError(f"{name!r} is in a run's folder; take another name")
    return path


def find_writing(home: Path, name: str) -> Path:
    """Return a writing folder by its name.

    Raises:
        DataError: there is none.
        UsageError: the name leads out of the home.
    """
    path = place_of(home, name)
    if not (path / PIECES).is_file():
        known = [one.relative_to(home).as_posix() for one in find_writings(home)]
        raise DataError(
            f"there is no writing folder {name!r} in {home}{suggest(name, known)}; import some writing first"
        )
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Return an object of a file, nothing where there is none or it is being written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
