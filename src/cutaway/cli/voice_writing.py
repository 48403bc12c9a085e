"""`cutaway voice import | clean | pairs`: from an export of one's writing to pairs a model learns from."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import tyro

from cutaway.base.errors import UsageError, suggest
from cutaway.base.files import write_text
from cutaway.cli.console import answer, answer_json, parse, screen

SHOWN = 6


@dataclass(frozen=True)
class ImportArguments:
    """Read an export (Substack, Medium, X, WordPress), a folder (Markdown, HTML, text, docx, mbox, JSONL), or a file."""

    path: Annotated[Path, tyro.conf.Positional]
    """The export: a zip, a folder or a file."""
    out: Path = Path("voice")
    """The folder to make; what it held of an earlier import is replaced."""
    sender: str = ""
    """Of mail: only what this address sent."""
    role: str = "assistant"
    """Of conversations: whose turns are yours."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class CleanArguments:
    """Take away what is not the writing. `removed.diff` shows every change; --without leaves rules out."""

    folder: Annotated[Path, tyro.conf.Positional] = Path("voice")
    """What `cutaway voice import` made."""
    without: tuple[str, ...] = ()
    """Rules not to apply."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class PairsArguments:
    """Make pairs and hold whole pieces out. Topics are in topics.toml, to be changed by hand; run again after."""

    folder: Annotated[Path, tyro.conf.Positional] = Path("voice")
    """What `cutaway voice clean` made."""
    drafts: Path | None = None
    """A folder or file of rough drafts, named or titled like the finished pieces."""
    tiers: tuple[str, ...] = ("draft", "essay", "note", "message", "continuation", "paragraph")
    """Which kinds of pairs to make."""
    held_out: float = 0.1
    """Share of the pieces kept from training."""
    largest_share: float = 0.15
    """No piece makes more than this share of the training pairs."""
    seed: int = 0
    """Decides which pieces are held out."""
    tokenizer: Path | None = None
    """A model's folder: its tokens are counted. Without one they are estimated from words."""
    context: int | None = None
    """Split pairs so that all fit this many tokens."""
    format: str = "messages"
    """Of the files: messages, prompt, sharegpt, alpaca or text."""
    json: bool = False
    """Print one JSON object."""


def import_(argv: list[str]) -> None:
    """`cutaway voice import PATH`."""
    asked = parse(ImportArguments, argv, "voice import", "cutaway voice import my-export.zip --out voice/")
    from cutaway.voice.importers import import_writing
    from cutaway.voice.piece import write_pieces

    with screen().status("reading") as status:
        got = import_writing(
            asked.path,
            sender=asked.sender,
            role=asked.role,
            progress=lambda count: status.update(f"reading: {count:,} pieces"),
        )
    asked.out.mkdir(parents=True, exist_ok=True)
    write_pieces(asked.out / "pieces.jsonl", got.pieces)
    for later in ("cleaned.jsonl", "removed.diff"):
        (asked.out / later).unlink(missing_ok=True)
    dates = sorted(piece.date for piece in got.pieces if piece.date)
    report: dict[str, Any] = {
        "folder": str(asked.out),
        "pieces": len(got.pieces),
        "words": sum(piece.words for piece in got.pieces),
        "found": got.found,
        "kinds": got.kinds,
        "dated": len(dates),
        "first_date": dates[0] if dates else None,
        "last_date": dates[-1] if dates else None,
        "encodings": got.encodings,
        "remarks": got.remarks,
    }
    if asked.json:
        answer_json(report)
        return
    answer(f"found {listed(got.found)}: {report['pieces']:,} pieces, {report['words']:,} words ({listed(got.kinds)})")
    if dates:
        answer(f"dated {len(dates):,} of {report['pieces']:,}, from {dates[0][:10]} to {dates[-1][:10]}")
    few(got.remarks)
    answer(f"written to {asked.out / 'pieces.jsonl'}; nothing was removed yet\nnext: cutaway voice clean {asked.out}")


def clean_(argv: list[str]) -> None:
    """`cutaway voice clean FOLDER`."""
    asked = parse(CleanArguments, argv, "voice clean", "cutaway voice clean voice/ --without urls captions")
    from cutaway.voice.clean import RULES, clean
    from cutaway.voice.piece import read_pieces, write_pieces

    pieces = read_pieces(asked.folder / "pieces.jsonl")
    with screen().status(f"cleaning {len(pieces):,} pieces"):
        cleaned = clean(pieces, asked.without)
    write_pieces(asked.folder / "cleaned.jsonl", cleaned.pieces)
    write_text(asked.folder / "removed.diff", cleaned.diff())
    counts = cleaned.counts()
    if asked.json:
        answer_json(
            {
                "folder": str(asked.folder),
                "pieces": len(cleaned.pieces),
                "words_before": sum(piece.words for piece in pieces),
                "words": sum(piece.words for piece in cleaned.pieces),
                "rules": counts,
                "without": list(asked.without),
                "emptied": cleaned.emptied,
                "diff": str(asked.folder / "removed.diff"),
            }
        )
        return
    answer(f"{'rule':<20}{'blocks':>8}{'pieces':>8}{'words':>8}")
    for rule, count in counts.items():
        off = "  (left out)" if rule in asked.without else f"  {RULES[rule]}"
        answer(f"{rule:<20}{count['blocks']:>8,}{count['pieces']:>8,}{count['words']:>8,}{off}")
    few([f"{name}: nothing was left of it" for name in cleaned.emptied])
    answer(
        f"every change: {asked.folder / 'removed.diff'}; undo a rule: cutaway voice clean {asked.folder} --without RULE"
    )
    answer(f"next: cutaway voice pairs {asked.folder}")


def pairs_(argv: list[str]) -> None:
    """`cutaway voice pairs FOLDER`."""
    asked = parse(PairsArguments, argv, "voice pairs", "cutaway voice pairs voice/ --context 1024 --seed 1")
    from cutaway.interop.conversations import FORMATS, write_conversations
    from cutaway.voice.importers import import_writing
    from cutaway.voice.pairs import PairSettings, make_pairs, match_drafts, read_topics, write_topics
    from cutaway.voice.piece import read_pieces
    from cutaway.voice.token_budget import CONTEXTS, budget, estimated

    if asked.format not in FORMATS:
        raise UsageError(
            f"there is no format {asked.format!r}{suggest(asked.format, FORMATS)}; there is {', '.join(FORMATS)}"
        )
    if asked.context is not None and asked.context < 128:
        raise UsageError(f"a context of {asked.context} holds no pair; expected 128 or more, as 1024")
    cleaned = asked.folder / "cleaned.jsonl"
    pieces = read_pieces(cleaned if cleaned.is_file() else asked.folder / "pieces.jsonl")
    settings = PairSettings(asked.seed, asked.held_out, asked.largest_share, asked.tiers)
    topics = asked.folder / "topics.toml"
    with screen().status(f"making pairs of {len(pieces):,} pieces") as status:
        drafts = match_drafts(import_writing(asked.drafts).pieces, pieces) if asked.drafts else {}
        made = make_pairs(pieces, settings, read_topics(topics), drafts)
        count = estimated
        if asked.tokenizer is not None:
            from cutaway.text.tokenizer import load_tokenizer

            tokenizer = load_tokenizer(asked.tokenizer)
            count = cache(lambda text: len(tokenizer.encode(text)))
        status.update("counting tokens")
        both = [*made.train, *made.held_out]
        budgets = [budget(both, context, count)[0] for context in sorted({*CONTEXTS, asked.context or CONTEXTS[0]})]
        train, held = made.train, made.held_out
        if asked.context is not None:
            train, held = (budget(side, asked.context, count)[1] for side in (train, held))
    ending = "txt" if asked.format == "text" else "jsonl"
    files = {side: asked.folder / f"{side}.{ending}" for side in ("train", "held_out")}
    write_topics(topics, pieces)
    write_conversations(files["train"], [pair.conversation() for pair in train], asked.format)
    write_conversations(files["held_out"], [pair.conversation() for pair in held], asked.format)
    report = {
        "folder": str(asked.folder),
        "train": len(train),
        "held_out": len(held),
        "tiers": made.tiers(),
        "held_out_pieces": made.split.held_out,
        "moved": made.split.moved,
        "near_duplicates": made.split.groups,
        "overlapping": made.split.overlapping,
        "largest": {"piece": made.largest[0], "share": made.largest[1]},
        "dropped": made.dropped,
        "tokens": "counted" if asked.tokenizer else "estimated",
        "budgets": [
            {"context": one.context, "fits": one.fits, "split": [vars(pair) for pair in one.split], "parts": one.parts,
             "tokens": one.tokens, "longest": one.longest}
            for one in budgets
        ],
        "remarks": made.remarks,
        "files": {side: str(path) for side, path in files.items()},
    }  # fmt: skip
    write_text(asked.folder / "pairs.json", json.dumps(report, indent=1, ensure_ascii=False) + os.linesep)
    if asked.json:
        answer_json(report)
        return
    answer(f"{'tier':<14}{'train':>8}{'held out':>10}")
    for tier, counts in made.tiers().items():
        answer(f"{tier:<14}{counts['train']:>8,}{counts['held_out']:>10,}")
    answer(
        f"held out, as a whole: {len(made.split.held_out):,} of {len(made.split.held_out) + len(made.split.train):,} pieces"
    )
    if made.split.groups:
        copies = sum(map(len, made.split.groups))
        answer(f"nearly the same: {copies:,} pieces in {len(made.split.groups):,} groups, all kept in training; "
               f"moved there from held-out: {len(made.split.moved):,}")  # fmt: skip
        few([" = ".join(group) for group in made.split.groups])
    answer(f"most pairs from one piece: {made.largest[1]:.1%} ({made.largest[0]}); left out for that: "
           f"{sum(made.dropped.values()):,}")  # fmt: skip
    few(made.remarks)
    about = "tokens counted" if asked.tokenizer else "tokens estimated from words; --tokenizer FOLDER counts them"
    answer(f"\n{'context':>8}{'fit':>8}{'split':>8}{'into':>8}{'longest':>9}   {about}")
    for one in budgets:
        into = sum(pair.parts for pair in one.split)
        answer(f"{one.context:>8,}{one.fits:>8,}{len(one.split):>8,}{into:>8,}{one.longest:>9,}")
    if asked.context is None and budgets[0].split:
        answer(f"what is split, and where: {asked.folder / 'pairs.json'}; split it now: --context {budgets[0].context}")
    answer(
        f"written to {files['train']} and {files['held_out']}; change what pieces are about in {topics}, then run again"
    )


def listed(counts: dict[str, int]) -> str:
    """Return counts as words, the most first."""
    return ", ".join(f"{name} {count:,}" for name, count in Counter(counts).most_common())


def few(lines: Sequence[str]) -> None:
    """Print the first lines and how many more there are."""
    for line in lines[:SHOWN]:
        answer(f"  {line}")
    if len(lines) > SHOWN:
        answer(f"  ... and {len(lines) - SHOWN:,} more (--json has all)")
