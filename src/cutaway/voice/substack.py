"""Substack's export: posts.csv beside a page of HTML for every post; and notes, as CSV or JSON.

Substack's own export has no notes. What people have of theirs are the site's answers saved as JSON (objects with `body` and
`date`, alone or under `comment`) or tables made from them: both are read, by those names.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from cutaway.base.errors import DataError
from cutaway.voice.found_files import FoundFiles
from cutaway.voice.html_blocks import html_blocks
from cutaway.voice.markdown_blocks import markdown_blocks
from cutaway.voice.piece import Block, Piece
from cutaway.voice.reading import Asked, iso_date

WHAT = "Substack export"


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return posts.csv, its pages and the notes."""
    tables = [name for name in names if name.rsplit("/", 1)[-1] == "posts.csv"]
    roots = [table.removesuffix("posts.csv") for table in tables]
    pages = [
        name for name in names if name.endswith(".html") and any(name.startswith(f"{root}posts/") for root in roots)
    ]
    notes = [name for name in names if name.rsplit("/", 1)[-1] in ("notes.csv", "notes.json")]
    others = [name for name in names if any(name.startswith(root) for root in roots) and name.endswith(".csv")]
    return sorted({*tables, *pages, *notes, *others}) if tables or notes else []


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read posts in the order of the table, then notes."""
    for name in names:
        if name.endswith("posts.csv"):
            yield from _posts(files, name, names, asked)
        elif name.endswith("notes.csv"):
            yield from _notes(list(_rows(asked.text(files, name))), name)
        elif name.endswith("notes.json"):
            try:
                data = json.loads(asked.text(files, name))
            except (json.JSONDecodeError, RecursionError) as error:
                raise DataError(f"{name} is broken JSON: {error}") from error
            items = data if isinstance(data, list) else data.get("items") or data.get("notes") or []
            yield from _notes([_flat(item) for item in items if isinstance(item, dict)], name)


def _posts(files: FoundFiles, table: str, names: list[str], asked: Asked) -> Iterator[Piece]:
    root = table.removesuffix("posts.csv")
    rows = list(_rows(asked.text(files, table)))
    if not rows:
        raise DataError(f"{files.label}: {table} lists no posts; export again once something is published")
    if "post_id" not in rows[0]:
        raise DataError(f"{files.label}: {table} has no column post_id; is it a Substack export?")
    pages = {name.removeprefix(f"{root}posts/").removesuffix(".html"): name for name in names if name.endswith(".html")}
    by_number = {key.split(".", 1)[0]: name for key, name in pages.items()}
    missing = 0
    for row in rows:
        key = row["post_id"] or ""
        page = pages.get(key) or by_number.get(key.split(".", 1)[0])
        if page is None:
            missing += 1
            continue
        blocks, footnotes = html_blocks(asked.text(files, page))
        subtitle = (row.get("subtitle") or "").strip()
        if subtitle:
            blocks.insert(0, Block("heading", f"## {subtitle}"))
        published = (row.get("is_published") or "true").lower() == "true"
        kind = {"page": "page", "thread": "note", "restack": "note"}.get(row.get("type") or "", "essay")
        date = iso_date(row.get("post_date"))
        yield Piece("", (row.get("title") or "").strip(), kind if published else "draft", page, tuple(blocks), date,
                    tuple(footnotes))  # fmt: skip
    asked.left_out(missing, f"posts of {table} whose page is not in the export")


def _rows(text: str) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    try:
        for row in csv.DictReader(io.StringIO(text)):
            yield {str(key).strip().lower(): value or "" for key, value in row.items() if key is not None}
    except csv.Error as error:
        raise DataError(f"a table of the export cannot be read: {error}") from error


def _flat(item: dict[str, Any]) -> dict[str, Any]:
    return item["comment"] if isinstance(item.get("comment"), dict) else item


def _notes(items: list[dict[str, Any]], source: str) -> Iterator[Piece]:
    for item in items:
        page = item.get("body_html")
        text = str(item.get("body") or item.get("text") or item.get("content") or "")
        blocks, footnotes = html_blocks(str(page)) if page else markdown_blocks(text)
        yield Piece(
            "",
            "",
            "note",
            source,
            tuple(blocks),
            iso_date(item.get("date") or item.get("created_at")),
            tuple(footnotes),
        )
