"""Find out what an export is by looking at it, and read it. Nothing leaves the machine, nothing is unpacked to the disk.

A folder or zip may hold several kinds at once: each family takes the files that are its own, in the order below, and zips
inside a folder are opened too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cutaway.base.errors import CutawayError, DataError
from cutaway.voice import (
    chat_jsonl,
    docx_file,
    html_pages,
    mail,
    markdown_folder,
    medium,
    plain,
    substack,
    twitter,
    wordpress,
)
from cutaway.voice.found_files import FolderFiles, FoundFiles, ZipFiles
from cutaway.voice.piece import Piece, named
from cutaway.voice.reading import Asked, Importer

IMPORTERS = cast(
    "tuple[Importer, ...]",
    (substack, medium, twitter, wordpress, markdown_folder, html_pages, plain, docx_file, mail, chat_jsonl),
)


@dataclass(frozen=True)
class Imported:
    """What was found and read."""

    pieces: list[Piece]
    found: dict[str, int]
    """How many pieces each family gave, by its name."""
    remarks: list[str]
    encodings: dict[str, int]

    @property
    def kinds(self) -> dict[str, int]:
        """How many pieces of each kind."""
        return dict(Counter(piece.kind for piece in self.pieces))


def import_writing(path: Path, *, sender: str = "", role: str = "assistant",
                   progress: Callable[[int], None] | None = None) -> Imported:  # fmt: skip
    """Read a folder, a zip or a single file.

    Args:
        progress: told the number of pieces so far.

    Raises:
        DataError: nothing there can be read, or a file is broken or not safe to open.
        UsageError: mail of several senders and none named.
    """
    asked = Asked(sender, role)
    found: Counter[str] = Counter()
    pieces: list[Piece] = []
    for files, names in _sources(path):
        for importer in IMPORTERS:
            mine = importer.finds(files, names)
            for piece in importer.pieces(files, mine, asked) if mine else ():
                if piece.blocks:
                    pieces.append(piece)
                    found[importer.WHAT] += 1
                    if progress:
                        progress(len(pieces))
                else:
                    asked.remarks.append(f"{piece.source}: {piece.title or 'a piece'} is empty; left out")
            names = [name for name in names if name not in set(mine)]
    if not pieces:
        raise DataError(
            f"{path} holds no writing that can be read; expected an export of Substack, Medium, X or WordPress, or files "
            f"of Markdown, HTML, text, docx, mbox or JSON lines"
        )
    return Imported(named(pieces), dict(found), asked.remarks, asked.encodings)


def _sources(path: Path) -> list[tuple[FoundFiles, list[str]]]:
    if not path.exists():
        raise DataError(f"there is no {path}; give a folder, a zip or a file of your writing")
    if path.is_file():
        if path.suffix.lower() == ".zip":
            archive = ZipFiles(path, path.name)
            return [(archive, archive.names())]
        return [(FolderFiles(path.parent), [path.name])]
    folder = FolderFiles(path)
    names = folder.names()
    sources: list[tuple[FoundFiles, list[str]]] = [(folder, names)]
    for name in names:
        if name.lower().endswith(".zip"):
            try:
                archive = ZipFiles(path / name, name)
            except CutawayError as error:
                raise DataError(f"{path}: {error}") from error
            sources.append((archive, archive.names()))
    return sources
