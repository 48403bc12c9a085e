"""Medium's export: posts/*.html, each an h-entry (a microformat that names title, subtitle, body and date)."""

from __future__ import annotations

from collections.abc import Iterator

from cutaway.voice.found_files import FoundFiles
from cutaway.voice.html_blocks import html_blocks, tree
from cutaway.voice.piece import Block, Piece
from cutaway.voice.reading import Asked, iso_date, of_length

WHAT = "Medium export"


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return the pages under posts/, if the first is an h-entry."""
    pages = [name for name in names if name.endswith(".html") and "posts" in name.split("/")[:-1]]
    return pages if pages and b"h-entry" in files.read(pages[0]) and b"e-content" in files.read(pages[0]) else []


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read every page."""
    for name in names:
        page = tree(asked.text(files, name))
        body = page.find(class_="e-content")
        if body is None:
            asked.remarks.append(f"{name}: no body; left out")
            continue
        heading = page.find(class_="p-name")
        title = heading.get_text().strip() if heading else ""
        when = page.find("time", class_="dt-published")
        for repeated in body.find_all(class_=["graf--title", "graf--subtitle"]):
            if repeated.get_text().strip() == title:
                repeated.decompose()
        blocks, footnotes = html_blocks(body)
        subtitle = page.find(class_="p-summary")
        words = subtitle.get_text().strip() if subtitle else ""
        if words and not any(words in block.text or block.text in words for block in blocks[:2]):
            blocks.insert(0, Block("heading", f"## {words}"))
        is_draft = name.rsplit("/", 1)[-1].startswith("draft")
        kind = "draft" if is_draft else of_length(sum(len(block.text.split()) for block in blocks))
        yield Piece(
            "", title, kind, name, tuple(blocks), iso_date(when.get("datetime")) if when else None, tuple(footnotes)
        )
