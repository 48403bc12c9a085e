"""A writing folder, step by step: import, clean, make pairs. What the terminal and the lab both call.

    voice/pieces.jsonl     a piece a line, as imported          import.json   what was found
          cleaned.jsonl    what the rules left, removed.diff    clean.json    what each rule did
          topics.toml      what each piece is about             drafts/       rough drafts, if there are
          train.jsonl      held_out.jsonl                       pairs.json    what was made, and with which settings

Each step writes its report beside what it made. Importing again takes away what cleaning had left; pairs stay until they
are made again, since a training may be reading them.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cutaway.base.errors import UsageError, suggest
from cutaway.base.files import write_text
from cutaway.voice.piece import Piece, read_pieces, write_pieces

Say = Callable[[str], None]
DRAFTS = "drafts"
SPARE_TOKENS = 4
"""A text between a template's marks may be cut otherwise than alone."""


def nobody(text: str) -> None:
    """Hear what is being done, and say nothing."""


def import_into(folder: Path, source: Path, sender: str = "", role: str = "assistant",
                say: Say = nobody) -> dict[str, Any]:  # fmt: skip
    """Read an export into a folder; return what was found. What the folder held of an earlier import is replaced.

    Raises:
        DataError: nothing there can be read.
        UsageError: mail of several senders and none named.
    """
    from cutaway.voice.importers import import_writing

    got = import_writing(source, sender=sender, role=role, progress=lambda count: say(f"reading: {count:,} pieces"))
    folder.mkdir(parents=True, exist_ok=True)
    for later in ("cleaned.jsonl", "removed.diff", "clean.json"):
        (folder / later).unlink(missing_ok=True)
    write_pieces(folder / "pieces.jsonl", got.pieces)
    dates = sorted(piece.date for piece in got.pieces if piece.date)
    return _kept(
        folder / "import.json",
        {
            "folder": str(folder),
            "source": source.name,
            "pieces": len(got.pieces),
            "words": sum(piece.words for piece in got.pieces),
            "found": got.found,
            "kinds": got.kinds,
            "dated": len(dates),
            "first_date": dates[0] if dates else None,
            "last_date": dates[-1] if dates else None,
            "encodings": got.encodings,
            "remarks": got.remarks,
        },
    )


def clean_in(folder: Path, without: Collection[str] = ()) -> dict[str, Any]:
    """Apply the rules to what was imported; return what each did.

    Raises:
        DataError: nothing was imported.
        UsageError: a rule to be left out does not exist.
    """
    from cutaway.voice.clean import clean

    pieces = read_pieces(folder / "pieces.jsonl")
    cleaned = clean(pieces, without)
    write_pieces(folder / "cleaned.jsonl", cleaned.pieces)
    write_text(folder / "removed.diff", cleaned.diff())
    return _kept(
        folder / "clean.json",
        {
            "folder": str(folder),
            "pieces": len(cleaned.pieces),
            "words_before": sum(piece.words for piece in pieces),
            "words": sum(piece.words for piece in cleaned.pieces),
            "rules": cleaned.counts(),
            "without": list(without),
            "emptied": cleaned.emptied,
            "diff": str(folder / "removed.diff"),
        },
    )


def pieces_of(folder: Path) -> list[Piece]:
    """Return the cleaned pieces, else those imported.

    Raises:
        DataError: nothing was imported.
    """
    cleaned = folder / "cleaned.jsonl"
    return read_pieces(cleaned if cleaned.is_file() else folder / "pieces.jsonl")


@dataclass(frozen=True)
class PairsAsked:
    """How pairs are made and counted."""

    seed: int = 0
    """Decides which pieces are held out."""
    held_out: float = 0.1
    """Share of the pieces kept from training."""
    largest_share: float = 0.15
    """No piece makes more than this share of the training pairs."""
    tiers: tuple[str, ...] = ("draft", "essay", "note", "message", "continuation", "paragraph")
    tokenizer: Path | None = None
    """A model's folder: its tokens are counted. Without one they are estimated from words."""
    context: int | None = None
    """Split pairs so that all fit this many tokens."""
    drafts: Path | None = None
    """Rough drafts; left out: those in the folder's `drafts`, if there are."""
    format: str = "messages"


def pairs_in(folder: Path, asked: PairsAsked, say: Say = nobody) -> dict[str, Any]:
    """Make pairs of a folder's pieces, hold whole pieces out, write both sides; return what was made.

    Raises:
        UsageError: a setting makes no sense.
        DataError: there are too few pieces or pairs, a file of the folder is broken, or a draft fits no piece.
    """
    from cutaway.interop.conversations import FORMATS, write_conversations
    from cutaway.voice.pairs import PairSettings, make_pairs, read_topics, write_topics
    from cutaway.voice.token_budget import CONTEXTS, MARKS, budget, estimated

    if asked.format not in FORMATS:
        raise UsageError(
            f"there is no format {asked.format!r}{suggest(asked.format, FORMATS)}; there is {', '.join(FORMATS)}"
        )
    if asked.context is not None and asked.context < 128:
        raise UsageError(f"a context of {asked.context} holds no pair; expected 128 or more, as 1024")
    pieces = pieces_of(folder)
    say(f"making pairs of {len(pieces):,} pieces")
    topics = folder / "topics.toml"
    drafts = drafts_of(folder, pieces, asked.drafts)
    made = make_pairs(
        pieces,
        PairSettings(asked.seed, asked.held_out, asked.largest_share, asked.tiers),
        read_topics(topics),
        drafts,
    )
    count, marks = (estimated, MARKS) if asked.tokenizer is None else _counting(asked.tokenizer)
    say("counting tokens")
    both = [*made.train, *made.held_out]
    budgets = [budget(both, context, count, marks)[0] for context in sorted({*CONTEXTS, asked.context or CONTEXTS[0]})]
    train, held = made.train, made.held_out
    if asked.context is not None:
        train, held = (budget(side, asked.context, count, marks)[1] for side in (train, held))
    ending = "txt" if asked.format == "text" else "jsonl"
    files = {side: folder / f"{side}.{ending}" for side in ("train", "held_out")}
    write_topics(topics, pieces)
    write_conversations(files["train"], [pair.conversation() for pair in train], asked.format)
    write_conversations(files["held_out"], [pair.conversation() for pair in held], asked.format)
    report = {
        "folder": str(folder),
        "train": len(train),
        "held_out": len(held),
        "tiers": made.tiers(),
        "train_pieces": len(made.split.train),
        "held_out_pieces": made.split.held_out,
        "moved": made.split.moved,
        "near_duplicates": made.split.groups,
        "overlapping": made.split.overlapping,
        "largest": {"piece": made.largest[0], "share": made.largest[1]},
        "dropped": made.dropped,
        "drafts": sorted(drafts),
        "tokens": "counted" if asked.tokenizer else "estimated",
        "budgets": [
            {"context": one.context, "fits": one.fits, "split": [vars(pair) for pair in one.split], "parts": one.parts,
             "tokens": one.tokens, "longest": one.longest}
            for one in budgets
        ],
        "remarks": made.remarks,
        "files": {side: str(path) for side, path in files.items()},
        "settings": dataclasses.asdict(asked)
        | {"tiers": list(asked.tiers)}
        | {name: str(path) if path else None for name, path in vars(asked).items() if name in ("tokenizer", "drafts")},
    }  # fmt: skip
    return _kept(folder / "pairs.json", report)


def _counting(folder: Path) -> tuple[Callable[[str], int], int]:
    """Return how a model's tokens are counted, and how many its template adds to a prompt and its answer."""
    from cutaway.interop.conversations import conversation
    from cutaway.text.tokenizer import load_tokenizer
    from cutaway.tune.chat_form import chat_form
    from cutaway.tune.examples import make_example

    tokenizer = load_tokenizer(folder)
    empty = make_example(conversation("a", "a"), chat_form(folder, tokenizer))
    return cache(lambda text: len(tokenizer.encode(text))), len(empty.tokens) + SPARE_TOKENS


def drafts_of(folder: Path, pieces: list[Piece], given: Path | None = None) -> dict[str, str]:
    """Return rough drafts by the name of their finished piece; none where there is no folder of them.

    Raises:
        DataError: a draft fits no piece, or nothing can be read.
    """
    from cutaway.voice.importers import import_writing
    from cutaway.voice.pairs import match_drafts

    place = given or folder / DRAFTS
    if given is None and not (place.is_dir() and any(place.iterdir())):
        return {}
    return match_drafts(import_writing(place).pieces, pieces)


def _kept(path: Path, report: dict[str, Any]) -> dict[str, Any]:
    write_text(path, json.dumps(report, indent=1, ensure_ascii=False) + os.linesep)
    return report
