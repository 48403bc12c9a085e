"""`cutaway voice report`: your voice, or your essays? Everything measured of a tuned run, as one page, and the verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.runs import timestamp
from cutaway.cli.console import answer_json, parse, screen
from cutaway.cli.voice_tuned import Tuned, find_tuned

if TYPE_CHECKING:
    from rich.console import Console

    from cutaway.voice.answers import Answer, Speaker
    from cutaway.voice.learned import Learned
    from cutaway.voice.report import Report
    from cutaway.voice.resplits import OverSplits

FOLDER, PAGE, NUMBERS, ANSWERS = "report", "report.html", "report.json", "answers.jsonl"
WIDTH = 100
PIECES, EACH, TOKENS = 12, 3, 250
"""Held-out pieces whose prompts are answered, prompts of each, and tokens of an answer."""
QUICK_PIECES, QUICK_EACH, QUICK_TOKENS = 8, 2, 120
MEASURES = 10
"""About so many things are measured, for the bar."""


@dataclass(frozen=True)
class ReportArguments:
    """Say whether a tuned run learned your voice or your essays: one page with numbers, intervals and a verdict."""

    run: Annotated[str, tyro.conf.Positional]
    """A tuned run."""
    writing: Path | None = None
    """The folder of writing; left out: the one the run was tuned on."""
    base: str = ""
    """The model to compare with; left out: the one the run began with."""
    splits: int = 0
    """Train so many times again with other pieces held out, and use what came of it; done ones are used in any case."""
    quick: bool = False
    """Measure less: fewer pairs, answers and permutations, no temperatures."""
    seed: int = 0
    """Of everything that is drawn; the same seed gives the same report."""
    plain: bool = False
    """No colours and no bar, and nothing of what is being measured."""
    json: bool = False
    """Print one JSON object: the whole report."""


def report(argv: list[str]) -> None:
    """`cutaway voice report RUN`."""
    asked = parse(ReportArguments, argv, "voice report", "cutaway voice report me-1")
    tuned = find_tuned(asked.run, asked.base, asked.writing)
    writing = tuned.learned()
    with told(screen(), asked.plain or asked.json) as say:
        splits = over_splits(tuned, asked.splits, say)
        found = measured(tuned, writing, splits, asked.quick, asked.seed, say)
    page = write(tuned, found)
    if asked.json:
        answer_json(found.as_dict() | {"page": str(page)})
        return
    summary(found, page, asked.plain)


def over_splits(tuned: Tuned, wanted: int, say: Any) -> OverSplits | None:
    """Return what trainings with other pieces held out came to, made now as far as they are wanted and not done."""
    from cutaway.voice.resplits import read_splits, summarize_splits

    if wanted:
        from cutaway.resplit import resplit_run
        from cutaway.train.watch import StepEvent, Watcher

        done = len(read_splits(tuned.run))

        class Steps(Watcher):
            def step(self, event: StepEvent) -> None:
                say(f"training split {done + 1}", event.step / event.total_steps)

        def one_more(number: int, _: Any) -> None:
            nonlocal done
            done = max(done, number)

        resplit_run(tuned.run, wanted, Steps(), one_more)
    found = read_splits(tuned.run)
    return summarize_splits(found) if found else None


def measured(tuned: Tuned, writing: Learned, splits: OverSplits | None, is_quick: bool, seed: int, say: Any) -> Report:
    """Answer what is not answered yet, and measure."""
    from dataclasses import replace

    from cutaway.voice.canaries import BASE_ANSWERS, RUN_ANSWERS
    from cutaway.voice.report import QUICK, ReportSettings, collect

    base, own = tuned.base_speaker(), tuned.speaker()
    kept = tuned.run.path / FOLDER / ANSWERS
    before = asked_of(base, tuned, writing, is_quick, (tuned.writing / BASE_ANSWERS,) * 2, say)
    after = asked_of(own, tuned, writing, is_quick, (tuned.run.path / RUN_ANSWERS, kept), say)
    settings = replace(QUICK if is_quick else ReportSettings(), seed=seed)
    return collect(
        base, own, writing, before, after, tuned.method, timestamp(), splits, settings,
        progress=lambda what: say(what, None),
    )  # fmt: skip


def asked_of(
    speaker: Speaker, tuned: Tuned, writing: Learned, is_quick: bool, paths: tuple[Path, Path], say: Any
) -> list[Answer]:
    """Return a model's answers to the canaries and to prompts of held-out pieces."""
    from cutaway.voice.answers import answer_all
    from cutaway.voice.canaries import canaries_of

    canaries = canaries_of(tuned.writing)
    amounts = (QUICK_PIECES, QUICK_EACH, QUICK_TOKENS) if is_quick else (PIECES, EACH, TOKENS)
    found: list[Answer] = []
    for prompts, path in zip((canaries.prompts, writing.prompts(*amounts)), paths, strict=True):
        found += answer_all(
            speaker, prompts, canaries.settings, path,
            lambda done, total: say(f"{speaker.name} answers", done / total),
        )  # fmt: skip
    return found


def write(tuned: Tuned, found: Report) -> Path:
    """Write the numbers and the page; return the page's place."""
    from cutaway.base.files import write_text
    from cutaway.voice.report_page import report_page

    folder = tuned.run.path / FOLDER
    numbers = json.dumps(found.as_dict(), ensure_ascii=False, allow_nan=False)
    write_text(folder / NUMBERS, numbers + "\n")
    write_text(folder / PAGE, report_page(json.loads(numbers)))
    return folder / PAGE


@contextmanager
def told(console: Console, is_silent: bool) -> Iterator[Any]:
    """Yield what to tell how far one is: what is done, and how much of it (None: one of the measures)."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if is_silent or not console.is_terminal:
        last = [""]

        def line(what: str, share: float | None) -> None:
            if not is_silent and what != last[0]:
                console.print(what)
            last[0] = what

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("opening the models", total=1.0)

        def say(what: str, share: float | None) -> None:
            done = bar.tasks[0].completed if share is None else 0.0
            bar.update(
                task, description=what, completed=share if share is not None else min(0.99, done % 1 + 1 / MEASURES)
            )

        yield say


def summary(found: Report, page: Path, is_plain: bool) -> None:
    """Print the verdict and what it rests on, on one screen."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, no_color=is_plain)
    console.width = min(console.width, WIDTH)
    console.print(Text(f"\n{found.verdict.name.capitalize()}", "bold"), Text(f"{found.verdict.sentence}\n"), sep="\n")
    rows = Table.grid(padding=(0, 2, 0, 0))
    for ruling in found.verdict.rulings:
        numbers = ", ".join(f"{name} {value:.3g}" for name, value in ruling.numbers.items() if value is not None)
        said = Text(f"{ruling.question} ").append(numbers, "dim")
        rows.add_row(Text(ruling.answer, "yellow" if ruling.holds is None else "cyan", no_wrap=True), said)
    console.print(Padding(rows, (0, 0, 1, 2)))
    for one in (found.losses, found.memorization, found.style, found.two_sample):
        console.print(Padding(Text(one.sentence()), (0, 0, 0, 2)))
    console.print(f"\npage     {page}\nnumbers  {page.with_name(NUMBERS)}", soft_wrap=True)
