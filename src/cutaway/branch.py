"""A branch: a new run that begins with a checkpoint of another and goes on with some settings changed.

What the parent did up to that step is the new run's past: its weights and the optimizer's memory, and (marked as
inherited) its measurements, samples and snapshots. With nothing changed a branch makes the same numbers as the parent
did. Importing this loads nothing heavy.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.base.errors import ConfigError, RunError
from cutaway.base.files import disk_errors, replacing_folder, write_text
from cutaway.base.runs import RunFolder, open_run, read_jsonl
from cutaway.recipe import Recipe, StartConfig
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import checkpoint_steps, flatten, read_recipe

FREE_TABLES = ("train", "generate", "sampling")
FREE_SETTINGS = ("model.dropout", "model.ngram_dropout", "tune.checkpointing", "tune.anyway", "prompt", "name")
FIXED_SETTINGS = {
    "train.optimizer": "the checkpoint remembers what this optimizer had gathered",
    "train.seed": "it decides what is held out, so the model would be measured on what it has learned",
}


@dataclass(frozen=True)
class Branch:
    """Where a run begins, checked."""

    parent: RunFolder
    step: int

    @property
    def checkpoint(self) -> Path:
        """The checkpoint it begins with."""
        return self.parent.checkpoints_folder / str(self.step)


def is_free(place: str) -> bool:
    """Whether a setting (by its name in the file) may change in a branch."""
    return (place.split(".")[0] in FREE_TABLES or place in FREE_SETTINGS) and place not in FIXED_SETTINGS


def branch_recipe(parent: RunFolder, step: int, home: Path) -> Recipe | PaintRecipe:
    """Return the recipe of a branch with nothing changed yet.

    Args:
        home: the folder the new run will lie in.
    """
    is_neighbour = parent.path.parent.resolve() == home.resolve()
    start = StartConfig(run=parent.name if is_neighbour else str(parent.path.resolve()), step=step)
    return dataclasses.replace(read_recipe(parent), start=start)


def find_branch(recipe: Recipe | PaintRecipe, home: Path) -> Branch | None:
    """Return where the recipe says a run begins, or None when it begins with random weights.

    Raises:
        RunError: there is no such run or no such checkpoint.
        ConfigError: a setting differs from the parent's that cannot.
    """
    if not recipe.start.run:
        return None
    parent, step = open_run(recipe.start.run, home), recipe.start.step
    if step not in (steps := checkpoint_steps(parent)):
        there = f"it has those of step {', '.join(map(str, steps))}" if steps else "it has none"
        raise RunError(
            f"run {parent.name!r} has no checkpoint of step {step}; {there} "
            f"(train.keep_checkpoints `all` keeps every one)"
        )
    check_changes(read_recipe(parent), recipe)
    return Branch(parent, step)


def check_changes(parent: Recipe | PaintRecipe, changed: Recipe | PaintRecipe) -> None:
    """Refuse what cannot change between a checkpoint and the run that begins with it.

    Raises:
        ConfigError: such a setting differs.
    """
    old, new = (flatten(dataclasses.asdict(recipe)) for recipe in (parent, changed))
    for place in sorted(old.keys() | new.keys()):
        if place.startswith("start.") or place == "fit" or is_free(place) or old.get(place) == new.get(place):
            continue
        if place in ("data.text_hash", "pictures.pictures_hash") and None in (old[place], new[place]):
            continue
        why = FIXED_SETTINGS.get(place, "the checkpoint's weights were made with it")
        raise ConfigError(
            f"{place} is {new.get(place)!r} but was {old.get(place)!r} in run {changed.start.run!r}; "
            f"it cannot change in a branch: {why}"
        )
    steps = changed.train.steps
    if steps is not None and steps <= changed.start.step:
        raise ConfigError(
            f"train.steps is {steps}, but the branch begins at step {changed.start.step}; "
            f"expected more (it counts the steps before the branch too)"
        )


def inherit(branch: Branch, run: RunFolder) -> None:
    """Copy the parent's past into the new run's folder."""
    folder = run.checkpoints_folder
    state_file = folder / str(branch.step) / "state.json"
    with disk_errors(folder):
        _copy_folder(branch.checkpoint, folder / str(branch.step))
        state = json.loads(state_file.read_text(encoding="utf-8"))
        best = branch.parent.checkpoints_folder / str(state["best_step"])
        if best.is_dir():
            if state["best_step"] != branch.step:
                _copy_folder(best, folder / best.name)
        else:  # the best weights are gone, so the best of the new run will be the best from here on
            state |= {"best_step": 0, "best_loss": math.inf, "since_best": 0}
            write_text(state_file, json.dumps(state, indent=2) + "\n")
        for name in ("metrics.jsonl", "samples.jsonl", "snapshots/histograms.jsonl"):
            _copy_lines(branch.parent.path / name, run.path / name, branch.step)
        for picture in _until(branch.parent.pictures_folder, ".png", branch.step):
            run.pictures_folder.mkdir(exist_ok=True)
            shutil.copyfile(picture, run.pictures_folder / picture.name)
        _copy_attention(branch.parent.path / "snapshots", run.path / "snapshots", branch.step)


def _copy_folder(source: Path, target: Path) -> None:
    with replacing_folder(target) as aside:
        shutil.copytree(source, aside, dirs_exist_ok=True)


def _copy_lines(source: Path, target: Path, last_step: int) -> None:
    lines: list[dict[str, Any]] = [line | {"inherited": 1} for line in read_jsonl(source) if line["step"] <= last_step]
    if lines:
        write_text(target, "".join(json.dumps(line) + "\n" for line in lines))


def _until(folder: Path, ending: str, last_step: int) -> list[Path]:
    """Return the files named by a step, up to the last."""
    return [path for path in folder.glob(f"*{ending}") if path.stem.isdigit() and int(path.stem) <= last_step]


def _copy_attention(source: Path, target: Path, last_step: int) -> None:
    files = _until(source / "attention", ".npy", last_step)
    for path in [source / "text.json", *files]:
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
