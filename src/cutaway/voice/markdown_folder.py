"""Markdown files with or without front matter (Jekyll, Hugo, Obsidian, ...)."""

from __future__ import annotations

from collections.abc import Iterator

from cutaway.voice.found_files import FoundFiles
from cutaway.voice.markdown_blocks import front_matter, markdown_blocks
from cutaway.voice.piece import Piece
from cutaway.voice.reading import Asked, date_in_name, iso_date, of_length, words_of

WHAT = "Markdown"
KINDS = {"essay", "note", "reply", "message", "draft", "page"}


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return Markdown files."""
    return [name for name in names if name.lower().endswith((".md", ".markdown", ".mdx"))]


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read every file."""
    for name in names:
        facts, text, remark = front_matter(asked.text(files, name))
        if remark:
            asked.remarks.append(f"{name}: {remark}")
        blocks, footnotes = markdown_blocks(text)
        title = str(facts.get("title") or "").strip()
        if blocks and blocks[0].kind == "heading" and blocks[0].text.startswith("# "):
            first = blocks[0].text.lstrip("# ").strip()
            if not title or title == first:
                title, blocks = first, blocks[1:]
        words = sum(len(block.text.split()) for block in blocks)
        said = str(facts.get("kind") or facts.get("type") or "").lower()
        kind = "draft" if facts.get("draft") is True else said if said in KINDS else of_length(words)
        date = iso_date(facts.get("date") or facts.get("published")) or date_in_name(name.rsplit("/", 1)[-1])
        yield Piece("", title or words_of(name), kind, name, tuple(blocks), date, tuple(footnotes))
