"""Saved web pages: the article on them, without what stands around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cutaway.voice.found_files import FoundFiles
from cutaway.voice.html_blocks import html_blocks, tree
from cutaway.voice.piece import Piece
from cutaway.voice.reading import Asked, date_in_name, iso_date, of_length, words_of

WHAT = "web pages"


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return HTML files."""
    return [name for name in names if name.lower().endswith((".html", ".htm", ".xhtml"))]


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read every page."""
    for name in names:
        page = tree(asked.text(files, name, declared(files.read(name))))
        body = page.find("article") or page.find("main") or page.body or page
        heading = body.find("h1")
        title = (
            heading.get_text().strip() if heading else page.title.get_text().strip() if page.title else words_of(name)
        )
        if heading:
            heading.decompose()
        blocks, footnotes = html_blocks(body)
        kind = of_length(sum(len(block.text.split()) for block in blocks))
        date = _date(page) or date_in_name(name.rsplit("/", 1)[-1])
        yield Piece("", " ".join(title.split()), kind, name, tuple(blocks), date, tuple(footnotes))


def declared(data: bytes) -> str | None:
    """Return the encoding a page says it has."""
    head = tree(data[:4096].decode("ascii", errors="replace"))
    for meta in head.find_all("meta"):
        if meta.get("charset"):
            return str(meta["charset"])
        content = str(meta.get("content") or "").lower()
        if "charset=" in content:
            return content.split("charset=", 1)[1].split(";")[0].strip()
    return None


def _date(page: Any) -> str | None:
    for name, value in (("property", "article:published_time"), ("name", "date"), ("itemprop", "datePublished")):
        meta = page.find("meta", attrs={name: value})
        if meta and (found := iso_date(meta.get("content"))):
            return found
    when = page.find("time", attrs={"datetime": True})
    return iso_date(when["datetime"]) if when else None
