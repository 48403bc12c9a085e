"""`cutaway paint train`: one phase, or all of them; and what `cutaway train` does with recipes and runs of pictures."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import RunFolder, free_path, runs_folder
from cutaway.branch import find_branch
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.diffusion.config import PicturesConfig
from cutaway.presets import with_changes
from cutaway.presets_paint import DIGITS, OTHERS, PHASES, Phase, find_phase, phase_of, runs_of, standing
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import LOSS_UNITS, read_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from cutaway.train.watch import Watcher
    from cutaway.workbench import Run

A_FILE_OF_DIGITS = "mnist/train-images-idx3-ubyte.gz"
EXAMPLE = "cutaway paint train words --minutes 30     cutaway paint train all"
PICTURES = PicturesConfig().source


@dataclass(frozen=True)
class AllArguments:
    """Train all phases one after the other, each standing on the ones before. Phases that have a finished run are left as
    they are, one that was stopped goes on."""

    minutes: float | None = None
    """For all of them together; left out: as their recipes have it, under two hours in all."""
    pictures: str = PICTURES
    """`creatures`, or a file or folder of captioned pictures."""
    quiet: bool = False
    """Show nothing while training."""
    json: bool = False
    """Print one JSON object with the results as the last line."""


@dataclass(frozen=True)
class PaintTrainArguments:
    """Train one phase, or a recipe of pictures. Every setting below belongs to the recipe."""

    recipe: Annotated[PaintRecipe, tyro.conf.arg(name="")]
    minutes: float | None = None
    """How long it trains: the same as --train.minutes."""
    quiet: bool = False
    """Show nothing while training."""
    json: bool = False
    """Print one JSON object with the result as the last line."""


@dataclass(frozen=True)
class PaintBranchArguments(PaintTrainArguments):
    """Begin a new run with a checkpoint of this one, with some settings changed; with none it makes the same numbers."""

    from_step: int = 0
    """The step of the checkpoint."""


def train(argv: list[str]) -> None:
    """`cutaway paint train PHASE|all`."""
    if not argv:
        raise UsageError(f"which phase to train is not said; expected {', '.join(PHASES)}, or all")
    if argv[0] in ("-h", "--help"):
        known = (PHASES | OTHERS | DIGITS).values()
        lines = "\n".join(f"  {one.name:<11} phase {one.number}: {one.summary}" for one in known)
        answer(
            f"usage: cutaway paint train PHASE [settings]     cutaway paint train all\n\n{lines}\n\nexample:  {EXAMPLE}"
        )
        return
    name, rest = argv[0], argv[1:]
    if name == "all":
        train_all(parse(AllArguments, rest, "paint train all", "cutaway paint train all --minutes 60"))
        return
    phase = find_phase(name)
    source = value_of(rest, "--pictures.source") or PICTURES
    asks_for_help = bool({"-h", "--help"} & set(rest))
    if name in DIGITS and source == PICTURES:
        if not asks_for_help:
            raise UsageError(f"{name} needs digits: cutaway paint train {name} --pictures.source {A_FILE_OF_DIGITS}")
        source = A_FILE_OF_DIGITS
    base = phase.make(source) if asks_for_help else standing(phase, source)
    train_recipe(base, rest, f"paint train {name}")


def value_of(words: list[str], flag: str) -> str:
    """Return what follows a flag among the words; empty where it is not there."""
    for index, word in enumerate(words):
        given, found, value = word.partition("=")
        if given == flag:
            return value if found else "".join(words[index + 1 : index + 2])
    return ""


def train_recipe(base: PaintRecipe, words: list[str], verb: str, step: int | None = None) -> int:
    """Train a recipe with the settings that the words change.

    Args:
        step: of the checkpoint it branches from.
    """
    if step is None:
        asked = parse(PaintTrainArguments, words, verb, EXAMPLE, PaintTrainArguments(base))
    else:
        default = PaintBranchArguments(base, from_step=step)
        asked = parse(PaintBranchArguments, words, verb, f"cutaway {verb} --from-step {step} --name calmer", default)
    recipe = asked.recipe
    if asked.minutes is not None:
        recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, minutes=asked.minutes))
    recipe = with_changes(base, recipe)
    find_branch(recipe, runs_folder())
    is_named = any(word.partition("=")[0] == "--name" for word in words)
    name = recipe.name if is_named else None
    if name is not None:
        free_path(name)
    from cutaway import workbench

    run = watched(lambda watcher: workbench.train(recipe, name=name, watcher=watcher), asked.quiet)
    return finish(run, asked.json, asked.quiet)


def go_on(folder: RunFolder, wants_json: bool, is_quiet: bool) -> int:
    """Continue a run of pictures."""
    from cutaway import workbench

    return finish(watched(lambda watcher: workbench.resume(folder, watcher), is_quiet), wants_json, is_quiet)


def watched(work: Callable[[Watcher | None], Run], is_quiet: bool) -> Run:
    """Do the work, shown on the terminal."""
    if is_quiet:
        return work(None)
    from cutaway.cli.watch import TerminalWatcher

    with TerminalWatcher(screen(), "pictures") as watcher:
        return work(watcher)


def finish(run: Run, wants_json: bool, is_quiet: bool) -> int:
    """Show how the run ended and what to do next."""
    if int(os.environ.get("RANK", "0")):
        return 0
    if not is_quiet:
        screen().print(report(run))
    if wants_json:
        answer_json(result(run))
    elif is_quiet:
        answer(str(run.path))
    return 0


def result(run: RunFolder) -> dict[str, Any]:
    """Return how a run ended, as JSON."""
    recipe = read_recipe(run)
    assert isinstance(recipe, PaintRecipe)
    pictures = sorted(run.pictures_folder.glob("*.png"), key=lambda path: int(path.stem))
    last = {"picture": str(pictures[-1])} if pictures else {}
    return {"run": str(run.path), "phase": phase_of(recipe), **(run.summary() or {}), **last}


def train_all(asked: AllArguments) -> None:
    """Train what is not trained yet."""
    if asked.minutes is not None and not 0 < asked.minutes < float("inf"):
        raise UsageError(f"minutes is {asked.minutes}; expected more than 0")
    given = sum(phase.make(asked.pictures).train.minutes or 0 for phase in PHASES.values())
    share = 1.0 if asked.minutes is None else asked.minutes / given
    results = []
    for phase in PHASES.values():
        run = train_one(phase, asked, share)
        results.append(result(run))
        if (run.summary() or {}).get("status") != "finished":
            if not asked.json:
                answer(f"stopped in {phase.name}; nothing is lost: cutaway paint train all goes on")
            break
    if asked.json:
        answer_json({"runs": results})
    elif len(results) == len(PHASES) and results[-1]["status"] == "finished":
        answer('all phases are trained; now:  cutaway paint "a cat wearing a tiny hat"')


def train_one(phase: Phase, asked: AllArguments, share: float) -> RunFolder:
    """Train a phase, go on with it, or leave it as it is; return its run."""
    from cutaway import workbench

    runs = runs_of(phase.name, asked.pictures)
    finished = [run for run in runs if run.status() == "finished"]
    say = (lambda line: None) if asked.quiet else screen().print
    if finished:
        say(f"[dim]{phase.name}: {finished[-1].name} is finished[/]")
        return finished[-1]
    say(f"\n[bold]phase {phase.number}, {phase.name}[/]: {phase.summary}")
    if runs:
        if runs[-1].status() == "running":
            raise RunError(f"{phase.name} is being trained now, as run {runs[-1].name!r}; wait for it or stop it")
        run = watched(lambda watcher: workbench.resume(runs[-1], watcher), asked.quiet)
    else:
        recipe = standing(phase, asked.pictures)
        assert recipe.train.minutes is not None
        train = dataclasses.replace(recipe.train, minutes=recipe.train.minutes * share)
        recipe = dataclasses.replace(recipe, train=train)
        run = watched(lambda watcher: workbench.train(recipe, watcher=watcher), asked.quiet)
    if not asked.quiet:
        screen().print(report(run))
    return run


def report(run: Run) -> Any:
    """Return the one-screen summary of a run of pictures."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from cutaway.cli.watch import clock

    recipe, summary = read_recipe(run), result(run)
    assert isinstance(recipe, PaintRecipe)
    table = Table(show_header=False, box=None, padding=(0, 2))
    if "validation_loss" in summary:
        unit = LOSS_UNITS[recipe.model.toml_kind]
        without = f"; without the average of the weights {summary['loss_without_ema']:.4f}"
        table.add_row(
            "held-out loss",
            f"[bold green]{summary['validation_loss']:.4f}[/] {unit}{without if 'loss_without_ema' in summary else ''}",
        )
        for name, value in summary.items():
            if name not in KNOWN and isinstance(value, float):
                table.add_row(name.replace("_", " "), f"{value:.4f}")
    table.add_row("parameters", f"{summary['parameters']:,}")
    table.add_row("trained", f"{summary['steps']:,} steps, {summary['tokens']:,} pictures, {clock(summary['seconds'])}")
    table.add_row("run", str(run.path))
    if "picture" in summary:
        table.add_row("last picture", summary["picture"])
    is_finished = summary["status"] == "finished"
    table.add_row("next", "\n".join(next_commands(run, recipe) if is_finished else [f"cutaway train {run.path}"]))
    return Group(Text("\nfinished" if is_finished else "\nstopped, nothing lost", style="bold"), table)


KNOWN = ("seconds", "validation_loss", "loss_without_ema")
"""Numbers of a summary that have a row of their own."""


def next_commands(run: RunFolder, recipe: PaintRecipe) -> list[str]:
    """Return what one may want to type after a phase."""
    phase = phase_of(recipe)
    names = list(PHASES)
    following = names[names.index(phase) + 1 :]
    label = '"cat"' if recipe.pictures.source == PICTURES else "0"
    asked = {"none": '""', "labels": label, "words": '"a cat wearing a tiny hat"'}
    commands = [f"cutaway paint {asked[recipe.conditions]} --run {run.name}"] if recipe.paints else []
    if following:
        commands.append(f"cutaway paint train {following[0]}      ({PHASES[following[0]].summary})")
    return commands
