"""What the Writing tab asks: import, clean, and the pieces; the same functions and files as `cutaway voice`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from cutaway.base.errors import DataError, UsageError
from cutaway.server import voice_uploads
from cutaway.server.lab import Lab, TheLab
from cutaway.server.safety import MAX_UPLOAD_BYTES
from cutaway.server.voice_folders import find_writing, place_of, read_json

router = APIRouter()


class WordPart(BaseModel):
    """A stretch of text: in both texts, only in the first, or only in the second."""

    where: str
    text: str


class Kept(BaseModel):
    """A file of an upload."""

    size_bytes: int


class ImportAsked(BaseModel):
    """Something to import."""

    writing: str
    """The folder to make."""
    upload: str = ""
    """The key of an upload, or:"""
    path: str = ""
    """a path on the lab's machine, where only this machine reaches the lab."""
    sender: str = ""
    role: str = "assistant"
    replace: bool = False
    """Whether a folder of this name may be replaced."""


class ImportReport(BaseModel):
    """What an import found."""

    source: str = ""
    pieces: int
    words: int
    found: dict[str, int] = {}
    kinds: dict[str, int]
    dated: int
    first_date: str | None = None
    last_date: str | None = None
    encodings: dict[str, int] = {}
    remarks: list[str] = []


class Rule(BaseModel):
    """One rule of cleaning, and what it does; for one that is left out, what it would do."""

    name: str
    what: str
    is_on: bool
    blocks: int
    pieces: int
    words: int


class WritingNow(BaseModel):
    """A folder of writing, as far as it came."""

    name: str
    path: str
    imported: ImportReport
    is_cleaned: bool
    rules: list[Rule]
    words_before: int
    words: int
    """After cleaning."""
    pieces: int
    """After cleaning; footnotes are pieces too."""
    emptied: list[str]
    """Pieces of which nothing was left."""


class CleanAsked(BaseModel):
    """Which rules to leave out."""

    writing: str
    without: list[str] = []


class RuleChange(BaseModel):
    """One block a rule changed."""

    piece: str
    title: str
    is_gone: bool
    """Whether the whole block was taken away."""
    parts: list[WordPart]


class RuleChanges(BaseModel):
    """Some of the changes of a rule."""

    total: int
    changes: list[RuleChange]


class PieceFacts(BaseModel):
    """A piece in the list."""

    name: str
    title: str
    kind: str
    date: str | None
    source: str
    words_before: int | None
    """As imported; nothing for a footnote, which becomes a piece by cleaning."""
    words: int | None
    """After cleaning; nothing where it was not cleaned, or nothing was left."""
    side: str
    """`train` or `held_out` once pairs were made."""


class Pieces(BaseModel):
    """All pieces of a folder that a search finds."""

    pieces: list[PieceFacts]


class ShownBlock(BaseModel):
    """A block of a piece, and what cleaning did to it."""

    kind: str
    rules: list[str]
    is_gone: bool
    parts: list[WordPart]


class PieceShown(BaseModel):
    """One piece, before and after."""

    facts: PieceFacts
    prompt: str
    """What it answers, where the source says it."""
    blocks: list[ShownBlock]
    footnotes: list[str]


@router.post("/uploads/voice/{key}")
async def upload(lab: TheLab, key: str, path: str, request: Request) -> Kept:
    """Keep one file of an export; the body is the file, `path` its name with the folders it stood in."""
    voice_uploads.place_for(lab.home, key, path)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_UPLOAD_BYTES:
            raise UsageError(
                f"{path!r} is larger than {MAX_UPLOAD_BYTES >> 20} MB; unpack it, or name its path on this machine instead"
            )
        parts.append(part)
    return Kept(size_bytes=await run_in_threadpool(voice_uploads.keep, lab.home, key, path, parts))


@router.post("/voice/import")
def import_(lab: TheLab, asked: ImportAsked, request: Request) -> ImportReport:
    """Read an export into a folder of writing."""
    from cutaway.voice.writing_folder import import_into

    folder = place_of(lab.home, asked.writing)
    if folder.exists() and not (asked.replace and (folder / "pieces.jsonl").is_file()):
        error = UsageError(f"there is a folder {asked.writing!r} already; take another name, or replace it")
        error.field = "writing"
        raise error
    if asked.upload:
        with voice_uploads.given(lab.home, asked.upload) as source:
            return ImportReport(**import_into(folder, source, asked.sender, asked.role))
    if not request.app.state.access.is_local:
        raise UsageError("this lab is open to other machines, so it reads no paths; upload the export instead")
    if not asked.path.strip():
        raise UsageError("nothing was given to import; choose files, or name a path on this machine")
    path = Path(asked.path.strip()).expanduser().absolute()
    return ImportReport(**import_into(folder, path, asked.sender, asked.role))


@router.get("/voice/writing")
def writing(lab: TheLab, writing: str) -> WritingNow:
    """Return a folder of writing as far as it came."""
    return writing_now(lab, writing)


@router.post("/voice/clean")
def clean(lab: TheLab, asked: CleanAsked) -> WritingNow:
    """Clean a folder's pieces, some rules left out."""
    from cutaway.voice.writing_folder import clean_in

    clean_in(find_writing(lab.home, asked.writing), asked.without)
    return writing_now(lab, asked.writing)


@router.get("/voice/changes")
def changes(lab: TheLab, writing: str, rule: str, offset: int = 0, limit: int = 30) -> RuleChanges:
    """Return what a rule changed, or would change were it not left out."""
    from cutaway.server.voice_writing import imported, rule_changes
    from cutaway.voice.clean import RULES

    folder = find_writing(lab.home, writing)
    if rule not in RULES:
        raise UsageError(f"there is no rule {rule!r}; there is {', '.join(RULES)}")
    found = rule_changes(folder, rule, without(folder))
    titles = {piece.name: piece.title for piece in imported(folder)}
    shown = [
        RuleChange(
            piece=one.piece,
            title=titles.get(one.piece) or one.piece,
            is_gone=not one.after,
            parts=word_parts(one.before, one.after),
        )
        for one in found[max(0, offset) : max(0, offset) + min(limit, 200)]
    ]
    return RuleChanges(total=len(found), changes=shown)


@router.get("/voice/pieces")
def pieces(lab: TheLab, writing: str, q: str = "") -> Pieces:
    """Return the pieces in whose title or text all words of a search stand."""
    folder = find_writing(lab.home, writing)
    words = q.casefold().split()
    texts, facts = texts_and_facts(folder)
    return Pieces(
        pieces=[one for one in facts if all(word in texts[one.name] for word in words)] if words else facts,
    )


@router.get("/voice/piece")
def piece(lab: TheLab, writing: str, name: str) -> PieceShown:
    """Return one piece with what cleaning did to it."""
    from cutaway.server.voice_writing import blocks_now, cleaned, cleaning, imported

    folder = find_writing(lab.home, writing)
    facts = next((one for one in texts_and_facts(folder)[1] if one.name == name), None)
    found = next((one for one in imported(folder) if one.name == name), None)
    if facts is None:
        raise DataError(f"there is no piece {name!r} in {writing}; it may have been imported anew")
    if found is None:  # a footnote: it has become a piece by cleaning
        found = next(one for one in cleaned(folder) if one.name == name)
        blocks = [ShownBlock(kind=one.kind, rules=[], is_gone=False, parts=word_parts(one.text, one.text))
                  for one in found.blocks]  # fmt: skip
    else:
        done = cleaning(folder, without(folder) if facts.words_before is not None else frozenset())
        blocks = [
            ShownBlock(kind=one.kind, rules=one.rules, is_gone=not one.after, parts=word_parts(one.before, one.after))
            for one in blocks_now(found, done)
        ]
    notes = [f"{note.label}: {note.text}" for note in found.footnotes]
    return PieceShown(facts=facts, prompt=found.prompt, blocks=blocks, footnotes=notes)


def word_parts(before: str, after: str) -> list[WordPart]:
    """Return what differs between two texts, word by word."""
    from cutaway.voice.word_changes import word_changes

    return [WordPart(where=part.where, text=part.text) for part in word_changes(before, after)]


def without(folder: Path) -> frozenset[str]:
    """Return the rules that were left out when the folder was cleaned."""
    from cutaway.voice.clean import RULES

    return frozenset(read_json(folder / "clean.json").get("without", [])) & frozenset(RULES)


def writing_now(lab: Lab, name: str) -> WritingNow:
    """Return a folder of writing as far as it came."""
    from cutaway.server.voice_writing import cleaning, imported, rule_counts
    from cutaway.voice.clean import RULES

    folder = find_writing(lab.home, name)
    off = without(folder)
    pieces, counts, done = imported(folder), rule_counts(folder, off), cleaning(folder, off)
    report = read_json(folder / "import.json")
    dates = sorted(piece.date for piece in pieces if piece.date)
    words = sum(piece.words for piece in pieces)
    facts = {
        "pieces": len(pieces),
        "words": words,
        "kinds": dict(Counter(piece.kind for piece in pieces)),
        "dated": len(dates),
        "first_date": dates[0] if dates else None,
        "last_date": dates[-1] if dates else None,
    }
    return WritingNow(
        name=name,
        path=str(folder.absolute()),
        imported=ImportReport(**{**report, **facts}),
        is_cleaned=(folder / "cleaned.jsonl").is_file(),
        rules=[Rule(name=rule, what=what, is_on=rule not in off, **counts[rule]) for rule, what in RULES.items()],
        words_before=words,
        words=sum(piece.words for piece in done.pieces),
        pieces=len(done.pieces),
        emptied=done.emptied,
    )


def texts_and_facts(folder: Path) -> tuple[dict[str, str], list[PieceFacts]]:
    """Return every piece's words to search in, and what the list says of it; footnotes come after the rest."""
    from cutaway.server.voice_writing import cleaned, imported

    held = set(read_json(folder / "pairs.json").get("held_out_pieces", []))
    was_split = (folder / "pairs.json").is_file()
    after = {piece.name: piece for piece in cleaned(folder)}
    before = {piece.name: piece for piece in imported(folder)}
    texts, facts = {}, []
    for name, piece in {**after, **before}.items():
        learns = was_split and piece.kind not in ("footnote", "draft", "page") and name in (after or before)
        texts[name] = f"{piece.title}\n{piece.text}".casefold()
        facts.append(
            PieceFacts(
                name=name,
                title=piece.title or " ".join(piece.text.split()[:10]),
                kind=piece.kind,
                date=piece.date,
                source=piece.source,
                words_before=before[name].words if name in before else None,
                words=after[name].words if name in after else None,
                side="" if not learns else "held_out" if name in held else "train",
            )
        )
    order = {name: number for number, name in enumerate(before)}
    facts.sort(key=lambda one: order.get(one.name, len(order)))
    return texts, facts
