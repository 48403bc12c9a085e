"""Which pictures lie in a folder, and what is said of each: captions in text files, in a table, or folders as classes.

Read in this order: a `metadata.jsonl` or `metadata.csv` (the `imagefolder` layout of Hugging Face), one other JSONL,
text files of the pictures' names, folders named after classes (also below `train/`). A table names a picture
`file_name` (or `image`, `path`) and its caption `text` (or `caption`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.base.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
_PICTURE = ("file_name", "image", "path", "file")
_CAPTION = ("text", "caption", "prompt")
_LABEL = ("label", "class")


@dataclass(frozen=True)
class ImageEntry:
    """One picture file and what is said of it."""

    path: Path
    caption: str = ""
    name: str = ""
    """Its class; empty: none."""


@dataclass(frozen=True)
class Layout:
    """All that was found."""

    entries: list[ImageEntry]
    skipped: list[str]
    """What could not be used, and why, one line each."""


def find_images(source: Path) -> Layout:
    """Return the pictures of a folder or of a table file.

    Raises:
        DataError: there are none, or the table cannot be read.
    """
    if source.is_file():
        return _table(source, source.parent)
    for name in ("metadata.jsonl", "metadata.csv", "train/metadata.jsonl", "train/metadata.csv"):
        if (table := source / name).is_file():
            return _table(table, table.parent)
    if len(tables := sorted(source.glob("*.jsonl"))) == 1:
        return _table(tables[0], source)
    paths = sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.relative_to(source).parts)
    )
    if not paths:
        raise DataError(
            f"{source} holds no pictures; expected pictures (png, jpg, ...) with captions in text files of the same "
            f"name, a metadata.jsonl, folders named after classes, or IDX files"
        )
    has_captions = any(path.with_suffix(".txt").is_file() for path in paths)
    return _captioned(paths) if has_captions else _by_folder(paths, source)


def _captioned(paths: list[Path]) -> Layout:
    entries, skipped = [], []
    for path in paths:
        beside = path.with_suffix(".txt")
        try:
            told = beside.read_text("utf-8") if beside.is_file() else ""
        except (OSError, UnicodeDecodeError) as error:
            told = ""
            skipped.append(f"caption {beside.name}: {error}")
        entries.append(ImageEntry(path, " ".join(told.split())))
    return Layout(entries, skipped)


def _by_folder(paths: list[Path], source: Path) -> Layout:
    parents = {path.parent for path in paths}
    if parents == {source}:
        return Layout([ImageEntry(path) for path in paths], [])
    return Layout([ImageEntry(path, _words(path.parent.name), path.parent.name) for path in paths], [])


def _words(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip()


def _table(table: Path, folder: Path) -> Layout:
    entries, skipped = [], []
    for where, row in _rows(table):
        if isinstance(row, str):
            skipped.append(f"{where}: {row}")
            continue
        name = _first(row, _PICTURE)
        path = (folder / name).resolve()
        if not name or not path.is_relative_to(folder.resolve()):
            skipped.append(f"{where}: " + (f"{name} lies outside the folder" if name else "names no picture"))
            continue
        entries.append(ImageEntry(path, " ".join(_first(row, _CAPTION).split()), _first(row, _LABEL)))
    if not entries:
        expected = f"expected lines with {_PICTURE[0]} and {_CAPTION[0]}"
        raise DataError(f"{table} names no pictures; {expected}" + (f" ({skipped[0]})" if skipped else ""))
    return Layout(entries, skipped)


def _first(row: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(row[name]) for name in names if row.get(name) not in (None, "")), "")


def _rows(table: Path) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Yield where each row is, and the row, or what is wrong with it."""
    try:
        text = table.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"could not read {table}: {error}") from error
    if table.suffix.lower() == ".csv":
        for i, row in enumerate(csv.DictReader(text.splitlines()), 2):
            yield f"{table.name}:{i}", row
        return
    for i, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
                yield f"{table.name}:{i}", row if isinstance(row, dict) else "is no JSON object"
            except json.JSONDecodeError as error:
                yield f"{table.name}:{i}", f"is no JSON ({error.msg})"
