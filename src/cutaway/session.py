"""One process's part in one training run: from a recipe to a finished run folder.

What all sessions share: settling what the recipe leaves open by measuring, making the run's folder, handing an objective to
the one trainer (`train/trainer.py`), and writing how it ended. What is learned and from what differs:
`session_language.py` (text, from random weights), `session_tuned.py` (conversations, from a model there is) and
`session_paint.py` (pictures).
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cutaway.base.config import to_toml
from cutaway.base.errors import CutawayError, RunError
from cutaway.base.files import write_text
from cutaway.base.memory import is_out_of_memory, keep_freed_memory
from cutaway.base.objective import Objective
from cutaway.base.runs import RunFolder, create_run, timestamp
from cutaway.branch import Branch, check_changes, inherit
from cutaway.budget import settled_steps
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import read_recipe
from cutaway.train.checkpoint import Tensors, list_checkpoints
from cutaway.train.config import TrainConfig
from cutaway.train.distributed import World, check_batch
from cutaway.train.pace import measure_pace, usable_cores
from cutaway.train.trainer import Outcome, Trainer, measured
from cutaway.train.watch import Watcher


class Session(ABC):
    """Data, model and recipe, ready to train."""

    branch: Branch | None = None
    """Where a new run begins, unless with the weights it would start from."""
    made_anew: float = 0.0
    """The share of batches whose data are made, and not read again."""

    def __init__(self, recipe: Recipe | PaintRecipe, model: torch.nn.Module, world: World, watcher: Watcher) -> None:
        self.recipe, self.model = recipe, model
        self.world, self.watcher = world, watcher if world.is_first else Watcher()
        self.objective = self.make_objective()

    @abstractmethod
    def make_objective(self) -> Objective:
        """Return the task."""

    @abstractmethod
    def note(self) -> Recipe | PaintRecipe:
        """Return the recipe with what was found out about data and model written into it."""

    @abstractmethod
    def rebuild(self, weights: Tensors) -> torch.nn.Module:
        """Return a model of its own with these weights."""

    @abstractmethod
    def export(self, run: RunFolder, model: torch.nn.Module) -> None:
        """Write the model into the run's folder for others to load."""

    def look_before(self, run: RunFolder, trainer: Trainer) -> None:
        """Measure what there is to measure before the first step (asked again when a run goes on)."""
        return

    def look_after(self, run: RunFolder, trainer: Trainer, outcome: Outcome) -> dict[str, Any]:
        """Return what else belongs into the summary."""
        return {}

    def take_less(self, run: RunFolder) -> str:
        """Return what to do where the memory was too little."""
        config = self.recipe.train
        parts = next((n for n in range(config.accumulate + 1, config.batch_size) if config.batch_size % n == 0), None)
        setting = f"--train.accumulate {parts or config.batch_size}" if config.accumulate < config.batch_size else ""
        return self.go_on_with(run, setting)

    def go_on_with(self, run: RunFolder, setting: str) -> str:
        """Return how to go on from the last checkpoint with another setting, and as it was."""
        checkpoints = list_checkpoints(run.checkpoints_folder)
        as_it_was = f"with more memory `cutaway train {run.path}` goes on as it was"
        if not setting:
            return f"no setting of it takes less; {as_it_was}"
        if not checkpoints or not setting.startswith(("--train.", "--tune.checkpointing")):
            return f"start anew with {setting}; {as_it_was}"
        return f"go on with `cutaway train {run.path} --from-step {checkpoints[-1].name} {setting}`; {as_it_was}"

    def check_same(self, what: str, noted: str | None, found: str, goes_on: bool) -> None:
        """Compare what the recipe was settled on with what is there.

        Raises:
            RunError: a run is to go on, but it has changed.
        """
        if noted in (None, found):
            return
        if goes_on:
            raise RunError(
                f"{what} has changed since the run started, so going on would not be the "
                f"same run; put it back, or start a new run from its recipe.toml"
            )
        self.watcher.say(f"{what} is not the one this recipe was first run on, so the numbers will differ")

    def settle(self, seconds_spent: float = 0.0) -> None:
        """Fix the number of steps, precision, threads and compilation, by measuring where they are left open.

        Args:
            seconds_spent: of a budget in minutes, already.
        """
        config, world = self.recipe.train, self.world
        check_batch(config.batch_size, config.accumulate, world.size)
        if world.size > 1 and config.threads is None and world.device.type == "cpu":
            config = dataclasses.replace(config, threads=max(1, usable_cores() // world.size))
        pace = None
        if config.minutes is not None or "auto" in (config.precision, config.compile) or config.threads is None:
            seconds = None if config.minutes is None else 60 * config.minutes
            started = time.perf_counter()
            share = dataclasses.replace(config, batch_size=config.batch_size // world.size)
            # the first rank decides for all: ranks that disagree would wait for each other for ever
            timing = (self.objective, share, world.device, seconds)
            pace = world.tell(measure_pace(*timing, made_anew=self.made_anew) if world.is_first else None)
            seconds_spent += time.perf_counter() - started
            self.watcher.say(pace.describe())
        steps = settled_steps(config, self.objective, pace.seconds_per_step if pace else 0.0, seconds_spent)
        if self.branch and config.minutes is not None:
            steps += self.branch.step  # the budget is for what is left to do
        settled = dataclasses.replace(
            config,
            minutes=None,
            epochs=None,
            tokens=None,
            steps=steps,
            device=self.world.device.type,
            precision=pace.precision if pace else config.precision,
            compile=("on" if pace.compile else "off") if pace else config.compile,
            threads=pace.threads if pace else config.threads,
        )
        settled = world.tell(settled)
        self.recipe = dataclasses.replace(self.note(), train=settled)
        if self.branch:
            check_changes(read_recipe(self.branch.parent), self.recipe)

    def create(self, name: str | None, folder: Path | None) -> RunFolder:
        """Make the run's folder and write the complete recipe into it (on the first rank; the others are told its
        name)."""
        return RunFolder(Path(self.world.tell(str(self._create(name, folder).path) if self.world.is_first else None)))

    def _create(self, name: str | None, folder: Path | None) -> RunFolder:
        run = create_run(name, self.recipe.name, folder)
        heading = f"Recipe of run {run.name}, started {timestamp()}.\nRepeat it: cutaway train {run.recipe_file}"
        try:
            if self.branch:
                heading += f"\nIt branched from run {self.branch.parent.name} at step {self.branch.step}."
                inherit(self.branch, run)
            write_text(run.recipe_file, to_toml(self.recipe, heading))
        except BaseException:
            shutil.rmtree(run.path, ignore_errors=True)  # a folder without a recipe is not a run
            raise
        return run

    def train(self, run: RunFolder) -> Outcome:
        """Train in the run's folder, from its last checkpoint if it has one, and write how it ended."""
        if not self.world.is_first:
            return self._train(run)
        with run.locked():
            return self._train(run)

    def _train(self, run: RunFolder) -> Outcome:
        if self.world.is_first:
            run.remove_summary()  # a run that trains has not ended; one that leaves no summary was killed
        try:
            export = partial(self.export, run)
            trainer = Trainer(self.objective, self.recipe.train, run, self.world, self.watcher, export, self.rebuild)
            self.look_before(run, trainer)
            if list_checkpoints(run.checkpoints_folder):
                self._go_on(trainer)
            outcome = trainer.train()
            more = self.look_after(run, trainer, outcome)
        except Exception as raised:
            error: Exception = raised
            if is_out_of_memory(raised):
                error = RunError(f"out of memory: run {run.name} is kept; {self.take_less(run)}")
            if self.world.is_first:
                reason = " ".join(str(error).split()) or type(error).__name__
                with contextlib.suppress(CutawayError):  # a full disk takes no summary either: the first error counts
                    run.write_summary({"status": "failed", "reason": reason, "ended": timestamp()})
            if error is raised:
                raise
            raise error from raised
        if self.world.is_first:
            run.write_summary(self.summarize(outcome) | more)
        return outcome

    def _go_on(self, trainer: Trainer) -> None:
        trainer.resume()
        self.watcher.say(f"going on from step {trainer.state.step} of {trainer.total_steps}")
        if self.world.tell(bool(trainer.state.best_step) and not trainer.run.model_folder.is_dir()):
            trainer.export_best()  # a branch, or a run that was killed between a checkpoint and its model

    def summarize(self, outcome: Outcome) -> dict[str, Any]:
        """Return how a run ended, as written to summary.json."""
        state, validation = outcome.state, outcome.validation
        summary: dict[str, Any] = {
            "status": "finished" if outcome.is_finished else "stopped",
            "ended": timestamp(),
            "steps": state.step,
            "tokens": state.tokens,
            "seconds": round(state.seconds, 1),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "best_step": state.best_step,
        }
        if outcome.ran_out_of_patience:
            summary["stopped_early"] = True
        if validation is not None:
            summary |= measured(validation) | {"validation_targets": validation.n_targets}
        return summary


def prepare_process(train: TrainConfig) -> None:
    """Set up this process for training."""
    torch.set_num_threads(train.threads or 1)
    torch.set_flush_denormal(True)
    keep_freed_memory()
