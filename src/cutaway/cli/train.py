"""`cutaway train`: a preset, a recipe file, or a run to go on with, by name or folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import UsageError
from cutaway.base.runs import free_path, open_run, runs_folder
from cutaway.branch import branch_recipe, find_branch
from cutaway.cli import paint_train
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.presets import PRESETS, find_recipe, with_changes
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import read_recipe

if TYPE_CHECKING:
    from rich.console import Console

    from cutaway.workbench import Run

COMPLETION = {"temperature": 0.4, "max_tokens": 120}
"""How `--complete` writes: short and careful."""
BRANCH_EXAMPLE = "cutaway train runs/stdlib-1 --from-step 200 --train.learning-rate 0.001 --name calmer"
EXAMPLE = "cutaway train stdlib --train.minutes 5 --model.d-model 192"


@dataclass(frozen=True)
class TrainArguments:
    """Train a language model.

    The first word is a preset, a recipe file (TOML), or a run (name or folder): to go on with it, or (with --from-step) to
    branch from one of its checkpoints. Every setting below belongs to the recipe and starts from the preset's value.
    """

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    complete: str = ""
    """When done, complete this text and show it."""
    quiet: bool = False
    """Show nothing while training."""
    json: bool = False
    """Print one JSON object with the result as the last line."""


def main(argv: list[str]) -> int:
    """Train, showing progress on standard error; print the run's folder on standard output."""
    target, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else ("stdlib", argv)
    console = screen()
    if is_run(target):
        step = step_to_branch_from(rest)
        if step is None:
            return go_on(target, rest, console)
        base = branch_recipe(open_run(target), step, runs_folder())
        if isinstance(base, PaintRecipe):
            return paint_train.train_recipe(base, rest, f"train {target}", step)
        arguments: TrainArguments = parse(
            BranchArguments, rest, f"train {target}", BRANCH_EXAMPLE, BranchArguments(base, from_step=step)
        )
    else:
        base = find_recipe(target)
        if isinstance(base, PaintRecipe):
            return paint_train.train_recipe(base, rest, f"train {target}")
        presets = f"presets:  {', '.join(PRESETS)}"
        arguments = parse(TrainArguments, rest, f"train {target}", f"{EXAMPLE}\n{presets}", TrainArguments(base))
    recipe = with_changes(base, arguments.recipe)
    find_branch(recipe, runs_folder())
    is_named = any(word == "--name" or word.startswith("--name=") for word in rest)
    name = recipe.name if is_named else None
    if name is not None:
        free_path(name)  # say so now if it is taken, not after the text was read

    from cutaway import workbench
    from cutaway.cli.watch import TerminalWatcher

    unit = "chars" if recipe.data.tokenizer == "characters" else "tokens"
    if arguments.quiet:
        run = workbench.train(recipe, name=name)
    else:
        with TerminalWatcher(console, unit) as watcher:
            run = workbench.train(recipe, name=name, watcher=watcher)
    return finish(run, console, arguments.complete, arguments.json, arguments.quiet)


def is_run(target: str) -> bool:
    """Whether the word is a run's folder, or a run's name, rather than a preset or a recipe file."""
    if (Path(target) / "recipe.toml").is_file():
        return True
    return target not in PRESETS and (runs_folder() / target / "recipe.toml").is_file()


@dataclass(frozen=True)
class BranchArguments(TrainArguments):
    """Begin a new run with a checkpoint of this one, with some settings changed; with none it makes the same numbers.

    Settings of `train` (but not the optimizer and the seed), dropout, `generate` and the prompt can change. train.steps
    counts the steps before the branch too; train.minutes is for what is left.
    """

    from_step: int = 0
    """The step of the checkpoint."""


def step_to_branch_from(words: list[str]) -> int | None:
    """Return the number after --from-step, or None where it is not among the words."""
    for word, following in pairwise([*words, ""]):
        flag, _, value = word.partition("=")
        if flag in ("--from-step", "--from_step"):
            value = value or following
            if not value.isdigit():
                raise UsageError(f"--from-step is {value!r}; expected the step of a checkpoint, a whole number")
            return int(value)
    return None


@dataclass(frozen=True)
class ResumeArguments:
    """Go on with a stopped run, exactly as it would have gone on; with --from-step STEP, begin a new run with that
    checkpoint instead and change what you like (`cutaway train RUN --from-step STEP --help`)."""

    complete: str = ""
    """When done, complete this text and show it."""
    quiet: bool = False
    """Show nothing while training."""
    json: bool = False
    """Print one JSON object with the result as the last line."""


def go_on(target: str, rest: list[str], console: Console) -> int:
    """Continue the run in a folder."""
    arguments = parse(ResumeArguments, rest, f"train {target}", f"cutaway train {target}")
    folder = open_run(target)
    if isinstance(read_recipe(folder), PaintRecipe):
        if arguments.complete:
            raise UsageError(f"run {folder.name!r} paints pictures; --complete is for text")
        return paint_train.go_on(folder, arguments.json, arguments.quiet)

    from cutaway import workbench
    from cutaway.cli.watch import TerminalWatcher

    if arguments.quiet:
        run = workbench.resume(folder)
    else:
        with TerminalWatcher(console) as watcher:
            run = workbench.resume(folder, watcher)
    return finish(run, console, arguments.complete, arguments.json, arguments.quiet)


def finish(run: Run, console: Console, prompt: str, wants_json: bool, is_quiet: bool) -> int:
    """Show how the run ended and what to do next."""
    import os

    if int(os.environ.get("RANK", "0")):
        return 0
    summary = run.summary() or {}
    completion = run.generate(prompt, **COMPLETION) if prompt and summary["status"] == "finished" else None
    if completion is not None and not is_quiet:
        console.print(f"\n[bold cyan]{'-' * 3} completion of[/] [bold]{prompt!r}[/]")
        console.print(prompt + completion, markup=False)
    if not is_quiet:
        if run.recipe.tune is not None:
            from cutaway.cli.voice_tune import report as tuned_report

            console.print(tuned_report(run, summary))
        else:
            console.print(report(run, summary))
    if wants_json:
        answer_json({"run": str(run.path), **summary, **({"completion": completion} if completion is not None else {})})
    elif is_quiet:
        answer(str(run.path))
    return 0


def report(run: Run, summary: dict[str, Any]) -> Any:
    """Return the one-screen summary of a run."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from cutaway.cli.watch import clock

    table = Table(show_header=False, box=None, padding=(0, 2))
    steps = f"{summary['steps']:,} steps, {summary['tokens']:,} tokens, {clock(summary['seconds'])}"
    if "validation_loss" in summary:
        loss, bits = summary["validation_loss"], summary["bits_per_byte"]
        per_token = loss / 0.6931471805599453
        table.add_row(
            "held-out loss",
            f"[bold green]{loss:.4f}[/] nats a token = {per_token:.3f} bits a token, {bits:.3f} bits a byte",
        )
    table.add_row("parameters", f"{summary['parameters']:,}")
    table.add_row("trained", steps)
    table.add_row("run", str(run.path))
    if summary["status"] == "finished":
        title, following = (
            "finished",
            [
                f"cutaway generate {run.path} --prompt {shlex.quote(run.recipe.prompt or 'a')}",
                f"cutaway runs show {run.name}",
                f"cutaway train {run.recipe_file}      (the same run again)",
            ],
        )
    else:
        title, following = "stopped, nothing lost", [f"cutaway train {run.path}      (goes on where it stopped)"]
    table.add_row("next", "\n".join(following))
    return Group(Text(f"\n{title}", style="bold"), table)
