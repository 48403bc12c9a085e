"""What every importer is given and gives back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from cutaway.voice.decoding import decode
from cutaway.voice.found_files import FoundFiles
from cutaway.voice.piece import Piece

NOTE_WORDS = 150
"""Where a source does not say what is a note, what is shorter than this is one."""


@dataclass
class Asked:
    """What the person said about the import, and what the importers have to say."""

    sender: str = ""
    """Of mail: only what this address sent."""
    role: str = "assistant"
    """Of conversations: whose turns are the person's."""
    remarks: list[str] = field(default_factory=list)
    """What the person should know: encodings, what was left out and why."""
    encodings: dict[str, int] = field(default_factory=dict)
    """How many files were read in each."""

    def text(self, files: FoundFiles, name: str, declared: str | None = None) -> str:
        """Return a file's text, remarking on an encoding that is not UTF-8."""
        found = decode(files.read(name), name, declared)
        self.encodings[found.encoding] = self.encodings.get(found.encoding, 0) + 1
        if found.remark:
            self.remarks.append(f"{name}: {found.remark}")
        return found.text

    def left_out(self, count: int, what: str) -> None:
        """Remark that something was not imported."""
        if count:
            self.remarks.append(f"left out {count:,} {what}")


class Importer(Protocol):
    """A family of sources: one module each."""

    WHAT: str
    """Its name for people."""

    def finds(self, files: FoundFiles, names: list[str]) -> list[str]:
        """Return the names that are this family's, none if it is not there."""

    def pieces(self, files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
        """Read those names."""


def iso_date(value: Any) -> str | None:
    """Return a date as ISO 8601 from the many ways exports write one; None where it cannot be read."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    text = str(value or "").strip()
    if not text or text.startswith("0000"):
        return None
    if re.fullmatch(r"\d{4}(-\d{2})?", text):
        return text
    try:
        return _short(datetime.fromisoformat(text.replace(" UTC", "+00:00")))
    except ValueError:
        pass
    for form in ("%a %b %d %H:%M:%S %z %Y", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%Y/%m/%d"):
        try:
            return _short(datetime.strptime(text, form))
        except ValueError:
            continue
    try:
        return _short(parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _short(moment: datetime) -> str:
    if moment.tzinfo is not None:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.date().isoformat() if moment.time() == moment.time().min else moment.isoformat()


def date_in_name(name: str) -> str | None:
    """Return the date a file's name begins with, as blogs write them."""
    found = re.match(r"(\d{4}-\d{2}-\d{2})(?!\d)", name)
    return iso_date(found[1]) if found else None


def stem(name: str) -> str:
    """Return a file's name without folders and extension."""
    return name.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def words_of(name: str) -> str:
    """Return a file's name as a title: without a date before it, dashes as spaces."""
    bare = re.sub(r"^\d{4}-\d{2}-\d{2}[-_ ]*", "", stem(name)) or stem(name)
    return re.sub(r"[-_]+", " ", bare).strip()


def of_length(words: int) -> str:
    """Return essay or note, by length alone."""
    return "note" if words < NOTE_WORDS else "essay"
