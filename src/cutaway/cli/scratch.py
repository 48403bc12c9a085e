"""`cutaway scratch`: deep learning with no framework, to watch and to read: a GPT that invents names, one step by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from cutaway.base.errors import UsageError, suggest
from cutaway.cli.console import answer, answer_json, parse, screen

ACTIONS = {
    "names": "learn a list of names on plain Python numbers or NumPy arrays, then invent some",
    "step": "one training step of the smallest transformer, every number by hand",
}
EXAMPLE = "cutaway scratch names --engine value"
SHOWN_AS_LOSS = 50
"""Steps the loss on the screen is the mean of: one name says little."""


@dataclass(frozen=True)
class ScratchArguments:
    """Deep learning with no framework: `names [FILE]` or `step`."""

    words: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """`names` and perhaps a file, one name a line (left out: the function names of the standard library), or `step`."""
    engine: Literal["array", "value"] = "array"
    """`names`: `value` (one number a node, slow) or `array` (NumPy); the results are the same."""
    steps: int = 1000
    """`names`: one name is learned a step."""
    seed: int = 42
    """What all random numbers come from."""
    full: bool = False
    """`step`: every number, not excerpts."""
    format: Literal["text", "markdown", "json"] = "text"
    """`step`: `text`, `markdown` (with LaTeX) or `json`."""
    json: bool = False
    """Print one JSON object."""


def main(argv: list[str]) -> int:
    """Do one of the two and print the result on standard output."""
    arguments = parse(ScratchArguments, argv, "scratch", EXAMPLE)
    action, rest = (arguments.words[0], arguments.words[1:]) if arguments.words else ("", ())
    if action not in ACTIONS:
        known = "; ".join(f"`cutaway scratch {name}`: {what}" for name, what in ACTIONS.items())
        wrong = f"there is no `cutaway scratch {action}`{suggest(action, ACTIONS)}; " if action else "scratch what? "
        raise UsageError(f"{wrong}there is {known}")
    if len(rest) > (1 if action == "names" else 0):
        raise UsageError(
            f"`cutaway scratch {action}` takes {'one file' if action == 'names' else 'no file'}, not {rest}"
        )
    return names(arguments, rest[0] if rest else None) if action == "names" else step(arguments)


def names(arguments: ScratchArguments, file: str | None) -> int:
    """Learn names, showing the loss on standard error; print the invented ones."""
    if arguments.steps < 1:
        raise UsageError(f"--steps must be 1 or more, not {arguments.steps}")

    from cutaway.scratch.microgpt import learn_names, read_names

    console = screen()
    known = read_names(Path(file)) if file else library_names()
    source = file or "the standard library's function names"
    console.print(f"{source}: {len(known):,} names; engine: {arguments.engine}", style="dim", soft_wrap=True)
    started = time.perf_counter()
    with Bar(arguments.steps) as bar:
        lesson = learn_names(known, arguments.engine, arguments.steps, arguments.seed, bar.on_step)
    seconds = time.perf_counter() - started
    if arguments.json:
        answer_json(
            {
                "source": source,
                "engine": arguments.engine,
                "names": len(known),
                "weights": lesson.n_weights,
                "losses": lesson.losses,
                "seconds": seconds,
                "invented": lesson.invented,
            }
        )
        return 0
    last = lesson.losses[-SHOWN_AS_LOSS:]
    console.print(
        f"{lesson.n_weights:,} weights, {arguments.steps:,} steps in {seconds:.1f} s; loss {lesson.losses[0]:.4f} at "
        f"step 1, {lesson.losses[-1]:.4f} at step {arguments.steps:,}, {sum(last) / len(last):.4f} the mean of the last "
        f"{len(last)}",
        soft_wrap=True,
    )
    answer("\n".join(lesson.invented))
    return 0


def step(arguments: ScratchArguments) -> int:
    """Print one training step by hand."""
    import json

    from cutaway.scratch.walk import walk

    form = "json" if arguments.json else arguments.format
    written = walk(arguments.seed)
    if form == "json":
        answer(json.dumps(written.as_dict()))
    else:
        answer(written.as_markdown() if form == "markdown" else written.as_text(full=arguments.full))
    return 0


def library_names() -> list[str]:
    """Return the public function and class names of the standard library, lower-cased, without those of its tests."""
    from cutaway.text.config import DataConfig
    from cutaway.text.corpus import read_corpus

    corpus = read_corpus(DataConfig(source="stdlib_names", documents="line"))
    names = sorted(text.strip() for text in corpus.train_texts + corpus.validation_texts)
    return [name for name in names if not name.startswith("test")]


class Bar:
    """The progress of learning on standard error: steps and the mean loss of the last few."""

    def __init__(self, steps: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.losses: list[float] = []
        self.progress = Progress(
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=screen(),
            transient=True,
        )
        self.task = self.progress.add_task("", total=steps, loss="-")

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    @property
    def on_step(self) -> Callable[[int, float], None]:
        """What is told every step."""

        def show(step: int, loss: float) -> None:
            self.losses.append(loss)
            last = self.losses[-SHOWN_AS_LOSS:]
            self.progress.update(self.task, completed=step, loss=f"{sum(last) / len(last):.3f}")

        return show
