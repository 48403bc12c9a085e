"""The verbs of the library: train a recipe, go on with a run, load a model, write with it.

Everything a person does goes through here, whether they typed a command or called Python. `train` hands the recipe to a
session (`session.py`), which reads the text, builds the model (`models/decoder.py`) and calls the one trainer
(`train/trainer.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cutaway.base.errors import RunError, TokenizerError, UsageError
from cutaway.base.runs import RunFolder, open_run
from cutaway.diffusion.config import ContrastiveConfig, DiTConfig, UNetConfig, VAEConfig
from cutaway.diffusion.paint import Painted, paint
from cutaway.diffusion.painter_folder import load_painter
from cutaway.generate.decode import generate
from cutaway.interop.adapter_folder import holds_model
from cutaway.interop.hub_folder import load_folder
from cutaway.lens.induction import InductionScan, induction
from cutaway.models.build import build_empty
from cutaway.models.decoder import Decoder
from cutaway.notebook import Figure, Shown
from cutaway.overfit import Overfit
from cutaway.overfit import overfit as try_overfitting
from cutaway.presets import find_recipe, with_changes
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import check_writes, painter_of, read_recipe, writing_recipe
from cutaway.session import Session
from cutaway.session_autoencoding import AutoencodingSession
from cutaway.session_denoising import DenoisingSession
from cutaway.session_language import LanguageSession
from cutaway.session_matching import MatchingSession
from cutaway.session_paint import PaintSession
from cutaway.session_preferred import PreferredSession
from cutaway.session_tuned import TunedSession
from cutaway.text.tokenizer import Tokenizer, load_tokenizer
from cutaway.train.checkpoint import TrainState, list_checkpoints, load_average, load_checkpoint, load_weights, restore
from cutaway.train.config import TrainConfig
from cutaway.train.distributed import World, joined
from cutaway.train.optimizers import build_optimizers, set_rates
from cutaway.train.watch import Watcher
from cutaway.tune.lora import bake, lora_layers
from cutaway.tune.tuned_model import open_base

PAINT_SESSIONS: dict[type, type[PaintSession]] = {
    UNetConfig: DenoisingSession,
    DiTConfig: DenoisingSession,
    ContrastiveConfig: MatchingSession,
    VAEConfig: AutoencodingSession,
}


@dataclass(frozen=True)
class Stopped:
    """A run between two steps."""

    model: Decoder
    tokenizer: Tokenizer
    optimizers: list[torch.optim.Optimizer]
    config: TrainConfig
    state: TrainState


@dataclass(frozen=True)
class Run(RunFolder, Shown):
    """A run and what one can do with it."""

    @property
    def recipe(self) -> Recipe:
        """The complete recipe, as settled when the run started.

        Raises:
            RunError: the run has to do with pictures.
        """
        return writing_recipe(self)

    def load(self, step: int | None = None) -> tuple[Decoder, Tokenizer]:
        """Return the best model so far and its tokenizer.

        Args:
            step: the model of this checkpoint instead.

        Raises:
            RunError: nothing was saved yet; there is no such checkpoint.
        """
        check_writes(self)
        if not self.model_folder.is_dir():
            raise RunError(f"run {self.name!r} has no model yet; it is saved at the first measurement")
        if step is None:
            return _with_tokenizer(self.model_folder)
        checkpoint, recipe = self._checkpoint(step), self.recipe
        if recipe.tune is not None and recipe.tune.method == "lora4":  # as everybody opens an adapter: beside floats
            recipe = dataclasses.replace(recipe, tune=dataclasses.replace(recipe.tune, method="lora"))
        model, tokenizer = self._learner(recipe)
        restore(model, [], load_weights(checkpoint) | (load_average(checkpoint) or {}), {})
        return (bake(model) if any(lora_layers(model)) else model).eval(), tokenizer

    def _learner(self, recipe: Recipe) -> tuple[Decoder, Tokenizer]:
        """Return the model as it is while it learns, for a checkpoint to fill, and its tokenizer."""
        if recipe.tune is not None and recipe.tune.has_adapters:
            tuned = open_base(recipe.tune, recipe.train.seed, self.path.parent)
            return tuned.model, tuned.tokenizer
        tokenizer = load_tokenizer(self.model_folder)
        shape = dataclasses.replace(recipe.model, vocab_size=recipe.model.vocab_size or tokenizer.vocab_size)
        return build_empty(shape), tokenizer

    def paint(self, words: str | int | Sequence[str] | Sequence[int] = "", **settings: Any) -> Painted:
        """Return pictures of a sentence, or of a label; of a run that is told neither, of `""`.

        Args:
            words: one for all pictures, or one for each.
            settings: of `PaintSamplingConfig`, in place of the recipe's: n, seed, steps, guidance, sampler, negative, ...

        Raises:
            RunError: the run does not paint, or not yet.
            UsageError: nothing of what is asked for is known, or it is empty.
        """
        folder, sampling = painter_of(self)
        asked = words if isinstance(words, Sequence) and not isinstance(words, str) else [words]
        return paint(load_painter(folder), asked, _replace(sampling, settings))  # type: ignore[arg-type]

    def at_checkpoint(self, step: int) -> Stopped:
        """Return the run as it stood at a checkpoint, the optimizers with what they remember, ready for the next step.

        Raises:
            RunError: there is no such checkpoint; those there are, are named.
            CheckpointError: it is damaged.
        """
        checkpoint = self._checkpoint(step)
        recipe = self.recipe
        model, tokenizer = self._learner(recipe)
        state, weights, memories = load_checkpoint(checkpoint)
        config = recipe.train
        optimizers = build_optimizers(model, config)
        restore(model, optimizers, weights, memories)
        if config.steps is not None:  # of the last checkpoint: the rate of the last step, for there is no next one
            set_rates(optimizers, min(state.step, config.steps - 1), config.steps, config)
        return Stopped(model, tokenizer, optimizers, config, state)

    def _checkpoint(self, step: int) -> Path:
        steps = [int(path.name) for path in list_checkpoints(self.checkpoints_folder)]
        if step not in steps:
            there = f"it has {', '.join(map(str, steps))}" if steps else "it has none"
            raise RunError(f"run {self.name!r} has no checkpoint of step {step}; {there}")
        return self.checkpoints_folder / str(step)

    def induction(self, steps: Sequence[int] | None = None, **settings: Any) -> dict[int, InductionScan]:
        """Return what `lens.induction` finds at every checkpoint, by step: when a head began to repeat what it saw.

        Args:
            steps: of which checkpoints; left out: all that were kept (`train.keep_checkpoints` all keeps them).
            settings: of `lens.induction`: text, length, n_sequences, seed.

        Raises:
            RunError: there is no such checkpoint.
        """
        there = [int(path.name) for path in list_checkpoints(self.checkpoints_folder)]
        found = {}
        for step in there if steps is None else steps:
            stopped = self.at_checkpoint(step)
            found[step] = induction(stopped.model, stopped.tokenizer, **settings)
        return found

    def generate(self, prompt: str = "", **settings: Any) -> str:
        """Return the prompt's continuation.

        Args:
            settings: fields of `SamplingConfig`, in place of the recipe's.
        """
        model, tokenizer = self.load()
        sampling = _replace(self.recipe.generate, settings)
        return generate(model, tokenizer, prompt, sampling)[0].text

    def show(self) -> Figure:
        """Return the run's curves as a figure; a program prints them as a table."""
        from cutaway.run_figure import run_figure

        return run_figure(self).show()


def load(source: str | Path | Run) -> tuple[Decoder, Tokenizer]:
    """Return model and tokenizer of a run, a model folder, or (written `hf:owner/name`) a model on the Hub.

    Args:
        source: `NAME@STEP` is a run's model at a checkpoint.

    Raises:
        ModelFormatError: the folder does not hold a model that can be loaded.
    """
    if isinstance(source, RunFolder):
        return Run(source.path).load()
    if not str(source).startswith("hf:") and not holds_model(Path(source)):
        run = None
        name, _, step = str(source).rpartition("@")
        if name and step.isdecimal():
            return Run(open_run(name).path).load(int(step))
        with contextlib.suppress(RunError):  # no run of this name: a folder, or none
            run = open_run(source)
        if run is not None:
            return Run(run.path).load()
    return _with_tokenizer(source)


def _with_tokenizer(source: str | Path) -> tuple[Decoder, Tokenizer]:
    model, tokenizer = load_folder(source)
    if tokenizer is None:
        raise TokenizerError(f"{source} has no tokenizer.json, so text cannot become tokens; copy the model's into it")
    return model, tokenizer


def train(
    target: str | Path | Recipe | PaintRecipe = "stdlib",
    *,
    name: str | None = None,
    watcher: Watcher | None = None,
    runs: Path | None = None,
    **settings: Any,
) -> Run:
    """Train a recipe in a new run folder and return the run.

    Args:
        target: a preset's name, a recipe file, or a recipe.
        name: the run's name; left out: the recipe's, with a number behind.
        runs: the folder that holds the runs; left out: ./runs or $CUTAWAY_RUNS.
        settings: fields of `TrainConfig`, such as steps=500, in place of the recipe's.

    Raises:
        CutawayError: anything the caller can mend, in one line.
    """
    recipe = target if isinstance(target, Recipe | PaintRecipe) else find_recipe(str(target))
    recipe = with_changes(recipe, dataclasses.replace(recipe, train=_replace(recipe.train, settings)))
    with joined(recipe.train.device) as world:
        session = prepare(recipe, world, watcher or Watcher(), runs=runs)
        run = Run(session.create(name, runs).path)
        session.train(run)
    return run


def resume(source: str | Path | RunFolder, watcher: Watcher | None = None) -> Run:
    """Go on with a run that was stopped, from its last checkpoint.

    Raises:
        RunError: there is no such run, or it is finished.
    """
    run = Run((source if isinstance(source, RunFolder) else open_run(source)).path)
    if run.status() == "finished":
        raise RunError(f"run {run.name!r} is finished; `cutaway runs show {run.name}` shows it")
    recipe = read_recipe(run)
    with joined(recipe.train.device) as world:
        session = prepare(recipe, world, watcher or Watcher(), is_settled=True, runs=run.path.parent)
        session.train(run)
    return run


def overfit(recipe: Recipe, watcher: Watcher | None = None, runs: Path | None = None) -> Overfit:
    """Return whether a model to be tuned can learn three pairs by heart, and if not, what is wrong.

    Raises:
        CutawayError: the base or the pairs cannot be read.
    """
    with joined(recipe.train.device) as world:
        return try_overfitting(recipe, world, watcher or Watcher(), runs)


def prepare(
    recipe: Recipe | PaintRecipe, world: World, watcher: Watcher, is_settled: bool = False, runs: Path | None = None
) -> Session:
    """Return the recipe's session: its data read, its model made."""
    if isinstance(recipe, PaintRecipe):
        return PAINT_SESSIONS[type(recipe.model)].prepare(recipe, world, watcher, is_settled, runs)
    kinds = {"answers": TunedSession, "preferences": PreferredSession}
    kind = LanguageSession if recipe.tune is None else kinds[recipe.tune.task]
    return kind.prepare(recipe, world, watcher, is_settled, runs)


def _replace(config: Any, settings: dict[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(config)}
    for name in settings:
        if name not in names:
            raise UsageError(f"{type(config).__name__} has no setting {name!r}; it has {', '.join(sorted(names))}")
    return dataclasses.replace(config, **settings)
