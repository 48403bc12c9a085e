"""`cutaway voice` alone: how far one is from an export to the report, and what to type next."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from cutaway.base.errors import CutawayError, UsageError
from cutaway.base.runs import RunFolder, list_runs, runs_folder
from cutaway.cli.console import answer, answer_json, parse
from cutaway.run_facts import writing_recipe

USUAL = Path("voice")
"""The folder of writing, unless another is named."""


@dataclass(frozen=True)
class GuideArguments:
    """Say what is done and what comes next, from an export of your writing to the report on the tuned model."""

    folder: Annotated[Path, tyro.conf.Positional] = USUAL
    """The folder of writing; it need not be there yet."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class Step:
    """One step of the way."""

    name: str
    done: str
    """What was made, in a few words; empty: it is still to be done."""
    command: str
    """What to type for it."""
    why: str


def guide(argv: list[str]) -> None:
    """`cutaway voice [FOLDER]`."""
    asked = parse(GuideArguments, argv, "voice", "cutaway voice     cutaway voice my-writing/")
    if asked.folder.exists() and not asked.folder.is_dir():
        raise UsageError(f"{asked.folder} is a file; to read it: cutaway voice import {asked.folder}")
    steps = way(asked.folder)
    following = next((step for step in steps if not step.done), None)
    if asked.json:
        report: dict[str, Any] = {"folder": str(asked.folder), "steps": [vars(step) for step in steps]}
        answer_json(report | {"next": following.command if following else None})
        return
    answer(
        f"Your writing in {asked.folder}/: from an export to a model that writes like you, and how much of it is you.\n"
    )
    for number, step in enumerate(steps, 1):
        answer(
            f"  {'x' if step.done else '>' if step is following else ' '} {number}. {step.name:<8} {step.done or step.why}"
        )
    if following:
        answer(f"\nnext:  {following.command}")
    elif run := next(iter(reversed(tuned_runs(asked.folder))), None):
        more = ("compare", "change", "best", "export", "serve")
        answer(f"\nthen:  cutaway voice {' | '.join(more)}  {run.name}")
    answer("again at any time:  cutaway voice     everything there is:  cutaway voice --help     on a screen:  cutaway")


def way(folder: Path) -> list[Step]:
    """Return the steps from an export to the report, with what is done of each."""
    own = "" if folder == USUAL else f" {folder}"
    out = "" if folder == USUAL else f" --out {folder}"
    pieces, cleaned, pairs = folder / "pieces.jsonl", folder / "cleaned.jsonl", folder / "pairs.json"
    runs = tuned_runs(folder)
    name = runs[-1].name if runs else "RUN"
    trained = ", ".join(f"{run.name} ({run.status()})" for run in runs[-3:])
    reported = next((run for run in reversed(runs) if (run.path / "report" / "report.json").is_file()), None)
    is_clean = _is_newer(cleaned, pieces)
    has_pairs = is_clean and _is_newer(pairs, cleaned)
    return [
        Step("import", _told(pieces, _count_pieces), f"cutaway voice import EXPORT{out}",
             "a Substack, Medium, WordPress or X export, mail, chats, a folder of Markdown, HTML, docx or text"),
        Step("clean", _told(cleaned, _count_pieces) if is_clean else "", f"cutaway voice clean{own}",
             "take away what is not yours: subscription boxes, share buttons, repeated lines"),
        Step("pairs", _told(pairs, _count_pairs) if has_pairs else "", f"cutaway voice pairs{own} --base {base()}",
             "make prompts with answers to learn from; whole pieces are held out to judge by"),
        Step("tune", trained, f"cutaway voice tune{own} --base {base()}",
             "train a model you have on the pairs; --smoke first tries three of them"),
        Step("report", reported.name if reported else "", f"cutaway voice report {name}",
             "did it learn your voice, or memorise your essays? one page, with numbers"),
    ]  # fmt: skip


def tuned_runs(folder: Path) -> list[RunFolder]:
    """Return the runs that learned from a folder of writing, oldest first."""
    found = []
    for run in list_runs(runs_folder()):
        try:
            recipe = writing_recipe(run)
        except CutawayError:
            continue
        if recipe.tune is not None and folder.resolve() in Path(recipe.data.source).resolve().parents:
            found.append(run)
    return found


def base() -> str:
    """Return a model to begin with: the last run that was not tuned itself, or how to name one."""
    plain = []
    for run in list_runs(runs_folder()):
        try:
            if writing_recipe(run).tune is None and run.model_folder.is_dir():
                plain.append(run)
        except CutawayError:
            continue
    if not plain:
        return "MODEL-FOLDER (or hf:openai-community/gpt2; or train one: cutaway train stdlib)"
    return plain[-1].name


def _is_newer(made: Path, source: Path) -> bool:
    """Whether a file was made after the one it was made from."""
    return made.is_file() and source.is_file() and made.stat().st_mtime >= source.stat().st_mtime


def _told(path: Path, tell: Callable[[Path], str]) -> str:
    """Return what a file holds, or nothing where it is absent or broken."""
    try:
        return tell(path) if path.is_file() else ""
    except (CutawayError, OSError, KeyError, json.JSONDecodeError):
        return ""


def _count_pieces(path: Path) -> str:
    from cutaway.voice.piece import read_pieces

    pieces = read_pieces(path)
    return f"{len(pieces):,} pieces, {sum(piece.words for piece in pieces):,} words"


def _count_pairs(path: Path) -> str:
    made = json.loads(path.read_text(encoding="utf-8"))
    return f"{made['train']:,} to learn from, {made['held_out']:,} held out ({len(made['held_out_pieces']):,} whole pieces)"
