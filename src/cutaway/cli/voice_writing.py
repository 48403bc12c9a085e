"""`cutaway voice import | clean | pairs`: from an export of one's writing to pairs a model learns from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cutaway.cli.console import answer, answer_json, parse, screen

SHOWN = 6
MOST_CONTEXT = 8192
"""Longer pairs are split even for models that could read them."""


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
    base: str = ""
    """The model to be tuned (a run, a folder, hf:owner/name): its tokens are counted, and pairs are split so that all fit
    its context. Without one tokens are estimated from words."""
    context: int | None = None
    """Split pairs so that all fit this many tokens; left out: the base's context, if a base is named."""
    format: str = "messages"
    """Of the files: messages, prompt, sharegpt, alpaca or text."""
    json: bool = False
    """Print one JSON object."""


def import_(argv: list[str]) -> None:
    """`cutaway voice import PATH`."""
    asked = parse(ImportArguments, argv, "voice import", "cutaway voice import my-export.zip --out voice/")
    from cutaway.voice.writing_folder import import_into

    with screen().status("reading") as status:
        report = import_into(asked.out, asked.path, asked.sender, asked.role, status.update)
    if asked.json:
        answer_json(report)
        return
    pieces, found, kinds = report["pieces"], listed(report["found"]), listed(report["kinds"])
    answer(f"found {found}: {pieces:,} pieces, {report['words']:,} words ({kinds})")
    if report["dated"]:
        first, last = report["first_date"][:10], report["last_date"][:10]
        answer(f"dated {report['dated']:,} of {pieces:,}, from {first} to {last}")
    few(report["remarks"])
    answer(f"written to {asked.out / 'pieces.jsonl'}; nothing was removed yet\nnext: cutaway voice clean {asked.out}")


def clean_(argv: list[str]) -> None:
    """`cutaway voice clean FOLDER`."""
    asked = parse(CleanArguments, argv, "voice clean", "cutaway voice clean voice/ --without urls captions")
    from cutaway.voice.clean import RULES
    from cutaway.voice.writing_folder import clean_in

    with screen().status("cleaning"):
        report = clean_in(asked.folder, asked.without)
    if asked.json:
        answer_json(report)
        return
    answer(f"{'rule':<20}{'blocks':>8}{'pieces':>8}{'words':>8}")
    for rule, count in report["rules"].items():
        off = "  (left out)" if rule in asked.without else f"  {RULES[rule]}"
        answer(f"{rule:<20}{count['blocks']:>8,}{count['pieces']:>8,}{count['words']:>8,}{off}")
    few([f"{name}: nothing was left of it" for name in report["emptied"]])
    answer(
        f"every change: {asked.folder / 'removed.diff'}; undo a rule: cutaway voice clean {asked.folder} --without RULE"
    )
    answer(f"next: cutaway voice pairs {asked.folder}")


def pairs_(argv: list[str]) -> None:
    """`cutaway voice pairs FOLDER`."""
    asked = parse(PairsArguments, argv, "voice pairs", "cutaway voice pairs voice/ --context 1024 --seed 1")
    from cutaway.voice.writing_folder import PairsAsked, pairs_in

    tokenizer, context = None, asked.context
    if asked.base:
        from cutaway.tune.find_base import base_config, find_base

        tokenizer = find_base(asked.base)
        context = min(context or MOST_CONTEXT, base_config(tokenizer).context_length)
    settings = PairsAsked(
        asked.seed,
        asked.held_out,
        asked.largest_share,
        asked.tiers,
        tokenizer,
        context,
        asked.drafts,
        asked.format,
    )
    with screen().status("making pairs") as status:
        report = pairs_in(asked.folder, settings, status.update)
    if asked.json:
        answer_json(report)
        return
    answer(f"{'tier':<14}{'train':>8}{'held out':>10}")
    for tier, counts in report["tiers"].items():
        answer(f"{tier:<14}{counts['train']:>8,}{counts['held_out']:>10,}")
    held, groups = len(report["held_out_pieces"]), report["near_duplicates"]
    answer(f"held out, as a whole: {held:,} of {held + report['train_pieces']:,} pieces")
    if groups:
        answer(f"nearly the same: {sum(map(len, groups)):,} pieces in {len(groups):,} groups, all kept in training; "
               f"moved there from held-out: {len(report['moved']):,}")  # fmt: skip
        few([" = ".join(group) for group in groups])
    largest = report["largest"]
    answer(f"most pairs from one piece: {largest['share']:.1%} ({largest['piece']}); left out for that: "
           f"{sum(report['dropped'].values()):,}")  # fmt: skip
    few(report["remarks"])
    about = "tokens counted" if asked.base else "tokens estimated from words; --base MODEL counts them"
    answer(f"\n{'context':>8}{'fit':>8}{'split':>8}{'into':>8}{'longest':>9}   {about}")
    for one in report["budgets"]:
        into = sum(pair["parts"] for pair in one["split"])
        answer(f"{one['context']:>8,}{one['fits']:>8,}{len(one['split']):>8,}{into:>8,}{one['longest']:>9,}")
    if context is None and report["budgets"][0]["split"]:
        context = report["budgets"][0]["context"]
        answer(f"what is split, and where: {asked.folder / 'pairs.json'}; split it now: --context {context}")
    files, topics = report["files"], asked.folder / "topics.toml"
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
