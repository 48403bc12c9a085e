"""Word documents (.docx): paragraphs by their styles, bold and italic, links and footnotes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from cutaway.base.errors import DataError
from cutaway.voice.extra import parser
from cutaway.voice.found_files import FoundFiles, ZipFiles
from cutaway.voice.piece import Block, Footnote, Piece
from cutaway.voice.reading import Asked, date_in_name, iso_date, of_length, words_of

WHAT = "Word document"
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return .docx files, without Word's lock files."""
    return [name for name in names if name.lower().endswith(".docx") and not name.rsplit("/", 1)[-1].startswith("~$")]


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read every document."""
    for name in names:
        data = files.read(name)
        ZipFiles(data, name)  # refuses bombs before the document is unpacked
        try:
            document = parser("docx").Document(io.BytesIO(data))
        except (ValueError, KeyError, SyntaxError) as error:
            raise DataError(f"{name} is not a Word document that can be read: {error}") from error
        title, blocks = "", []
        for paragraph in document.paragraphs:
            style = paragraph.style.name if paragraph.style is not None else ""
            text = _runs(paragraph).strip()
            if not text:
                continue
            if style == "Title" and not title:
                title = paragraph.text.strip()
            else:
                blocks.append(_block(style, text, paragraph.text.strip()))
        facts = document.core_properties
        title = title or (facts.title or "").strip() or words_of(name)
        kind = of_length(sum(len(block.text.split()) for block in blocks))
        yield Piece(
            "", title, kind, name, tuple(blocks), date_in_name(name) or iso_date(facts.created), _footnotes(document)
        )


def _block(style: str, text: str, plain: str) -> Block:
    if style.startswith("Heading"):
        level = style.removeprefix("Heading").strip()
        return Block("heading", "#" * (int(level) if level.isdigit() else 1) + " " + plain)
    if "Quote" in style:
        return Block("quote", "> " + text.replace("\n", "\n> "))
    if style.startswith("List"):
        return Block("list", ("1. " if "Number" in style else "- ") + text)
    return Block("paragraph", text)


def _runs(paragraph: Any) -> str:
    pieces = []
    for part in paragraph.iter_inner_content():
        if hasattr(part, "runs"):
            target = part.address or ""
            pieces.append(f"[{part.text}]({target})" if target else part.text)
            continue
        text = part.text
        mark = "**" if part.bold else "*" if part.italic else ""
        if mark and text.strip():
            bare = text.strip()
            text = text.replace(bare, f"{mark}{bare}{mark}", 1)
        notes = part._r.findall(f"{WORD}footnoteReference")
        pieces.append(text + "".join(f"[^{note.get(f'{WORD}id')}]" for note in notes))
    return "".join(pieces).replace("****", "")


def _footnotes(document: Any) -> tuple[Footnote, ...]:
    for relation in document.part.rels.values():
        if relation.reltype.endswith("/footnotes") and not relation.is_external:
            root = parser("docx.oxml").parse_xml(relation.target_part.blob)
            found = [
                Footnote(str(note.get(f"{WORD}id")), "".join(text.text or "" for text in note.iter(f"{WORD}t")).strip())
                for note in root.iter(f"{WORD}footnote")
            ]
            return tuple(note for note in found if note.text)
    return ()
