"""`cutaway voice compare`: models answer the same prompts, one rates them blind with the keys 1 to 4, the table follows."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cutaway.base.errors import RunError, UsageError
from cutaway.base.files import write_text
from cutaway.base.runs import RunFolder, open_run, runs_folder
from cutaway.cli.console import answer, answer_json, parse
from cutaway.cli.voice_canaries import asked as ask
from cutaway.cli.voice_tuned import find_tuned, open_speaker

if TYPE_CHECKING:
    from cutaway.voice.bootstrap import Interval
    from cutaway.voice.canaries import Canaries
    from cutaway.voice.compare import Ballot, Side
    from cutaway.voice.compare_votes import Results
    from cutaway.voice.ratings import Ratings

COLUMN = 58
BLIND = "AB"


@dataclass(frozen=True)
class CompareArguments:
    """Rate the answers of two to four models without knowing whose they are; every vote is kept, q ends."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Runs or model folders; of one tuned run, the other is its base."""
    writing: Path | None = None
    """The folder of writing whose prompts are answered; left out: the one the first run was tuned on, or voice/."""
    rater: str = "me"
    """Who rates: agreement between raters is told by name."""
    seed: int = 0
    """Decides the order of the pairs and their sides."""
    table: bool = False
    """Rate nothing, only print what was said so far."""
    answer: bool = False
    """Rate nothing, only let the models answer and keep it."""
    csv: Path | None = None
    """Write every vote and grade there."""
    json: bool = False
    """Rate nothing, print one JSON object."""


def compare(argv: list[str]) -> None:
    """`cutaway voice compare RUN...`."""
    asked = parse(CompareArguments, argv, "voice compare", "cutaway voice compare me-1 me-2 --rater anna")
    from cutaway.voice.canaries import canaries_of
    from cutaway.voice.compare import ballots
    from cutaway.voice.compare_votes import as_csv, open_ballots, results
    from cutaway.voice.ratings import Ratings

    if not asked.models:
        raise UsageError("compare what? name two to four runs or model folders, as: cutaway voice compare me-1 me-2")
    names, writing = meant(asked.models, asked.writing)
    canaries = canaries_of(writing)
    sides = [answered_side(name, canaries, writing) for name in names]
    if asked.answer and not asked.json:
        answer("\n".join(f"{side.name}: {len(side.answers)} answers" for side in sides))
        return
    every = ballots(sides, canaries, asked.seed)
    ratings = Ratings(runs_folder(), writing)
    if not (asked.table or asked.json):
        rate(every, open_ballots(every, ratings.votes(), sides, asked.rater), sides, ratings, asked.rater)
    votes, grades = ratings.votes(), ratings.grades()
    if asked.csv:
        write_text(asked.csv, as_csv(votes, grades))
    found = results(sides, votes, grades, asked.seed)
    if asked.json:
        left = len(open_ballots(every, votes, sides, asked.rater))
        answer_json({"writing": str(writing), "models": names, "pairs": len(every), "open": left, **found.as_dict()})
        return
    show(found)


def meant(models: Sequence[str], writing: Path | None) -> tuple[list[str], Path]:
    """Return the models to compare and the folder of writing; beside one tuned run stands its base."""
    if len(set(models)) < len(models):
        raise UsageError("a model is named twice; name different ones")
    first = next((name for name in models if as_run(name)), "")
    if len(models) == 1:
        tuned = find_tuned(models[0], writing=writing)
        return [tuned.base, tuned.run.name], tuned.writing
    if writing is None and first:
        try:
            writing = find_tuned(first).writing
        except UsageError:  # a run that was not tuned
            writing = None
    return list(models), writing or Path("voice")


def as_run(name: str) -> RunFolder | None:
    """Return the run of a name, if it is one's."""
    try:
        return open_run(name)
    except RunError:
        return None


def answered_side(name: str, canaries: Canaries, writing: Path) -> Side:
    """Return a model's answers; what it has not answered yet it answers now."""
    from cutaway.tune.find_base import find_base
    from cutaway.voice.canaries import BASE_ANSWERS, RUN_ANSWERS
    from cutaway.voice.compare import note_answered, side_of

    run = as_run(name)
    kept = side_of(name, canaries, writing, run.path if run else None)
    if len(kept.answers) < len(canaries.prompts) * canaries.settings.samples:
        said = ask(
            open_speaker(name, find_base(name)), canaries, run.path / RUN_ANSWERS if run else writing / BASE_ANSWERS
        )
        if run is None:
            note_answered(writing, name, said[0].model)
        kept = side_of(name, canaries, writing, run.path if run else None)
    return kept


def rate(every: list[Ballot], places: list[int], sides: list[Side], ratings: Ratings, rater: str) -> None:
    """Show pair after pair and keep what is said of each, until all are rated or q is pressed."""
    from cutaway.voice.compare import KEYS, MEANINGS
    from cutaway.voice.compare_votes import cast

    if not places:
        answer(f"{rater} has rated all {len(every)} pairs")
        return
    answers = {side.name: side.answers for side in sides}
    asks = ", ".join(f"{key} {MEANINGS[choice]}" for key, choice in KEYS.items())
    with pressed() as keys:
        for number, place in enumerate(places, 1):
            ballot = every[place]
            texts = [answers[name][ballot.prompt, ballot.sample].text for name in (ballot.left, ballot.right)]
            answer(f"\n{number} of {len(places)}: {ballot.text}\n")
            answer(beside(*texts))
            answer(f"\nwhich would you rather have written? {asks}, q ends: ", end="")
            began = time.monotonic()
            key = next((key for key in keys if key in KEYS or key in ("q", "\x03", "\x04")), "q")
            if key not in KEYS:
                answer("\n")
                return
            cast(ratings, ballot, sides, rater, KEYS[key], time.monotonic() - began)
            answer(f"{key}    left {ballot.left}, right {ballot.right}")


@contextmanager
def pressed() -> Iterator[Iterator[str]]:
    """Give keys as they are pressed; where there is no keyboard, the characters of standard input."""
    try:
        import termios
        import tty

        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
    except Exception:  # a pipe, a test, Windows: termios has errors of its own
        yield iter(lambda: sys.stdin.read(1), "")
        return
    try:
        tty.setcbreak(handle)
        yield iter(lambda: sys.stdin.read(1), "")
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def beside(left: str, right: str) -> str:
    """Return two texts in two columns."""
    columns = [wrapped(left), wrapped(right)]
    height = max(map(len, columns))
    rows = [[*column, *[""] * (height - len(column))] for column in columns]
    heads = [f"{'left':<{COLUMN}}", "right"]
    lines = [f"{one:<{COLUMN}} | {other}".rstrip() for one, other in zip(*rows, strict=True)]
    return "\n".join([" | ".join(heads), f"{'-' * COLUMN}-+-{'-' * COLUMN}", *lines])


def wrapped(text: str) -> list[str]:
    """Return a text in lines of a column."""
    return [line for part in (text or "(nothing)").splitlines() for line in textwrap.wrap(part, COLUMN) or [""]]


def show(found: Results) -> None:
    """Print who wins how often, and how far the raters agree."""
    from cutaway.voice.rubric import RUBRIC

    if not found.votes:
        answer("\nno votes yet")
    else:
        answer(f"\n{found.votes} votes{f' ({found.earlier} on earlier weights not counted)' if found.earlier else ''}")
        width = max(map(len, found.wins))
        answer(f"{'model':<{width}}  wins against any other")
        for name, share in sorted(found.wins.items(), key=lambda one: -one[1].value):
            answer(f"{name:<{width}}  {percent(share)}")
        for one in found.meetings:
            answer(f"{one.first} against {one.second}: {one.first_wins} to {one.second_wins}, {one.ties} alike, "
                   f"{one.neither} neither; {one.first} wins {percent(one.rate)}")  # fmt: skip
        answer(f"the one on the left wins {percent(found.left)}")
        for what, told in (("rated twice by the same person", found.own), ("rated by several persons", found.between)):
            if told.units:
                answer(
                    f"{what}: {told.units} pairs, the same {percent(told.same)}, Krippendorff's alpha {told.alpha:.2f}"
                )
    if found.graded:
        answer(f"\ngrades of {found.graded} answers, 1 to 5")
        for dimension in RUBRIC:
            means = (f"{name} {of[dimension.name].text('.1f')}" for name, of in found.grades.items())
            answer(f"{dimension.title:<24}{'; '.join(means)}")


def percent(share: Interval) -> str:
    """Return a share with its interval, as people say it."""
    if not share.n:
        return "-"
    bounds = f" ({share.low:.0%} to {share.high:.0%})" if share.is_known else ""
    return f"{share.value:.0%}{bounds}"
