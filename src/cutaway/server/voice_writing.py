"""What the Writing tab looks at: a folder's pieces before and after cleaning, and what each rule did.

Cleaning some hundred pieces takes a fraction of a second, so it is done again for every question and the last few results
are kept; what is written to the folder is written by the same functions as in the terminal.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

from cutaway.interop.conversations import Conversation, read_conversations
from cutaway.voice.clean import RULES, Change, Cleaned, clean
from cutaway.voice.piece import Piece, read_pieces

Stamp = tuple[str, int, int]


def stamp(path: Path) -> Stamp:
    """Return what changes when a file does."""
    try:
        state = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), state.st_mtime_ns, state.st_size


def imported(folder: Path) -> list[Piece]:
    """Return the pieces of a folder as they were imported."""
    return _pieces(stamp(folder / "pieces.jsonl"))


def cleaned(folder: Path) -> list[Piece]:
    """Return the pieces the rules left; none where nothing was cleaned."""
    path = folder / "cleaned.jsonl"
    return _pieces(stamp(path)) if path.is_file() else []


@lru_cache(maxsize=8)
def _pieces(file: Stamp) -> list[Piece]:
    return read_pieces(Path(file[0]))


def cleaning(folder: Path, without: frozenset[str]) -> Cleaned:
    """Return what cleaning with some rules left out does to a folder's pieces."""
    return _cleaning(stamp(folder / "pieces.jsonl"), without)


@lru_cache(maxsize=8)
def _cleaning(file: Stamp, without: frozenset[str]) -> Cleaned:
    return clean(_pieces(file), without)


def rule_changes(folder: Path, rule: str, without: frozenset[str]) -> list[Change]:
    """Return what a rule does, or would do were it not left out."""
    done = cleaning(folder, without - {rule})
    return [change for change in done.changes if change.rule == rule]


def rule_counts(folder: Path, without: frozenset[str]) -> dict[str, dict[str, int]]:
    """Return for each rule what it does, or would do were it not left out."""
    counts = cleaning(folder, without).counts()
    return {rule: counts[rule] if rule not in without else cleaning(folder, without - {rule}).counts()[rule]
            for rule in RULES}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class BlockNow:
    """A block of a piece as imported, and what the rules made of it, one after the other."""

    kind: str
    before: str
    after: str
    rules: list[str]


def blocks_now(piece: Piece, done: Cleaned) -> list[BlockNow]:
    """Return a piece's blocks with what happened to each.

    A change names its block by the words it had then, so a block is followed from change to change.
    """
    left = [change for change in done.changes if change.piece == piece.name]
    found = []
    for block in piece.blocks:
        text, rules = block.text, []
        while change := next((one for one in left if one.before == text), None):
            left.remove(change)
            text = change.after
            rules.append(change.rule)
        found.append(BlockNow(block.kind, block.text, text if text.strip() else "", rules))
    return found


def conversations(path: Path) -> list[Conversation]:
    """Return the pairs of a file, read once while it stays as it is."""
    return _conversations(stamp(path))


@lru_cache(maxsize=4)
def _conversations(file: Stamp) -> list[Conversation]:
    return read_conversations(Path(file[0]))
