"""Conversations (JSON lines in any known format): the turns of one role, each with what it answers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from cutaway.interop.conversations import read_conversations
from cutaway.voice.found_files import FoundFiles
from cutaway.voice.markdown_blocks import markdown_blocks
from cutaway.voice.piece import Piece
from cutaway.voice.reading import Asked, iso_date

WHAT = "conversations"


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return files of JSON lines."""
    return [name for name in names if name.lower().endswith(".jsonl")]


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read every turn of the role asked for."""
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name.rsplit("/", 1)[-1]
            path.write_text(asked.text(files, name), encoding="utf-8")
            conversations = read_conversations(path)
        for one in conversations:
            before = ""
            for turn in one.messages:
                if turn.role == asked.role and turn.content.strip():
                    blocks, notes = markdown_blocks(turn.content)
                    title, date = str(one.about.get("title") or ""), iso_date(one.about.get("date"))
                    yield Piece("", title, "message", name, tuple(blocks), date, tuple(notes), before)
                before = turn.content if turn.role != "system" else before
