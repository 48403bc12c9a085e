"""One piece of writing: its paragraphs in Markdown, and what is known of it.

A piece is a list of blocks. A block's kind says what it was in its source (a subscription box, a button, the quoted part of
a mail), so that cleaning need not guess from the words, and can be undone: importing removes nothing. A folder of writing
(`voice/`) holds pieces.jsonl, a piece a line, as imported; cleaned.jsonl is made from it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.base.errors import DataError
from cutaway.base.files import replacing_file

WRITING = ("paragraph", "heading", "quote", "list", "code", "rule")
"""Kinds of blocks that are the writing itself; the others are what sites and mail programs put around it."""
FURNITURE = ("subscribe", "button", "caption", "embed", "reply_quote", "signature")


@dataclass(frozen=True)
class Block:
    """A paragraph, a heading with its marks (`## ..`), a quote (`> ..`), a list, ..."""

    kind: str
    text: str


@dataclass(frozen=True)
class Footnote:
    """A footnote; its mark in the text is `[^label]`."""

    label: str
    text: str


@dataclass(frozen=True)
class Piece:
    """An essay, a note, a message, as its writer left it."""

    name: str
    """One of its kind in the folder: letters, digits and dashes."""
    title: str
    kind: str
    """essay, note, reply, message, draft (never published), page or footnote."""
    source: str
    """The file it stood in."""
    blocks: tuple[Block, ...]
    date: str | None = None
    """As far as known, ISO 8601."""
    footnotes: tuple[Footnote, ...] = ()
    prompt: str = ""
    """What it answers, where the source says it."""

    @property
    def text(self) -> str:
        """Everything, as Markdown: blocks parted by an empty line."""
        return "\n\n".join(block.text for block in self.blocks)

    @property
    def words(self) -> int:
        """How many words the blocks hold."""
        return sum(len(block.text.split()) for block in self.blocks)


def slug(text: str) -> str:
    """Return a title as letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80].strip("-")


def named(pieces: Iterable[Piece]) -> list[Piece]:
    """Give every piece a name of its own, made from its title, else from its first words."""
    taken: set[str] = set()
    found = []
    for piece in pieces:
        base = piece.name or slug(piece.title) or slug(" ".join(piece.text.split()[:8])) or "untitled"
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        found.append(dataclasses.replace(piece, name=name))
    return found


def write_pieces(path: Path, pieces: Sequence[Piece]) -> None:
    """Write pieces, one a line, whole or not at all."""
    with replacing_file(path) as aside, aside.open("w", encoding="utf-8") as file:
        for piece in pieces:
            file.write(json.dumps(dataclasses.asdict(piece), ensure_ascii=False) + "\n")


def read_pieces(path: Path) -> list[Piece]:
    """Read what `write_pieces` wrote.

    Raises:
        DataError: there is no such file, or a line of it is broken.
    """
    if not path.is_file():
        raise DataError(f"there is no {path}; first: cutaway voice import YOUR_EXPORT --out {path.parent}")
    pieces = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                pieces.append(_piece(json.loads(line)))
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise DataError(f"{path} is broken at line {number}: {error}; import again") from error
    return pieces


def _piece(data: dict[str, Any]) -> Piece:
    blocks = tuple(Block(**block) for block in data.pop("blocks"))
    return Piece(**data | {"blocks": blocks, "footnotes": tuple(Footnote(**note) for note in data.pop("footnotes"))})
