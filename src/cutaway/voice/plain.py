"""Plain text: paragraphs parted by empty lines; a short first line that stands alone is the title."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cutaway.voice.found_files import FoundFiles
from cutaway.voice.piece import Block, Piece
from cutaway.voice.reading import Asked, date_in_name, of_length, words_of

WHAT = "plain text"


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return .txt files."""
    return [name for name in names if name.lower().endswith((".txt", ".text"))]


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read every file."""
    for name in names:
        parts = [
            part.strip("\n") for part in re.split(r"\n[ \t]*\n", asked.text(files, name).strip("\n")) if part.strip()
        ]
        title = words_of(name)
        if len(parts) > 1 and "\n" not in parts[0] and len(parts[0].split()) <= 14:
            title = parts.pop(0).strip().strip("#=* ")
        blocks = tuple(Block("paragraph", _flow(part)) for part in parts)
        words = sum(len(block.text.split()) for block in blocks)
        yield Piece("", title, of_length(words), name, blocks, date_in_name(name.rsplit("/", 1)[-1]))


def _flow(text: str) -> str:
    """Lines of full width were wrapped and become one; short ones (a poem) stay."""
    lines = [line.strip() for line in text.split("\n")]
    wrapped = len(lines) > 1 and min(map(len, lines[:-1])) >= 45
    return (" " if wrapped else "\n").join(lines)
