"""A run of pictures measured, whichever phase it is, with what it measured itself while it trained.

    it paints              `paint_painter.py`, also with the weights themselves in place of their average
    a VAE                  `paint_vae.py`
    captions and pictures  what the run measured: how often the right one is found among all that were held out

Held-out losses are at fixed noise levels. Those of velocities, of noises, of pixels, of latents and of captions are errors
of different things and do not compare.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import RunFolder
from cutaway.bench.paint_asked import Say, check_judged
from cutaway.bench.paint_distances import Reference, reference
from cutaway.bench.paint_painter import Measured, Plan, measure_painter
from cutaway.bench.paint_vae import Through, measure_vae
from cutaway.diffusion.config import PaintSamplingConfig, PicturesConfig
from cutaway.diffusion.judge import Judge
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.painter_folder import load_painter, load_vae
from cutaway.diffusion.pictures import Creatures
from cutaway.presets_paint import phase_of
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import PAINTER, facts, read_recipe
from cutaway.train.checkpoint import list_checkpoints, load_weights, restore
from cutaway.train.config import TrainConfig

SEED = 0
"""Seed of fresh drawings, prompts and noise."""


@dataclass(frozen=True)
class Examined:
    """What was found of a run or of a painter's folder."""

    told: dict[str, Any]
    """Phase, size, time and held-out losses; of a folder outside runs, nothing."""
    found: Measured | Through | None
    """None: of captions and pictures, where only the run's own figures are."""

    def as_dict(self) -> dict[str, Any]:
        """Return every figure as plain values."""
        return self.told | (self.found.as_dict() if self.found else {})


class Examiner:
    """Measures runs with one judge; fresh drawings of a size are drawn once."""

    def __init__(self, judge: Judge, plan: Plan, say: Say) -> None:
        self.judge, self.plan, self.say = judge, plan, say
        self._compared: dict[int, Reference] = {}

    def compared(self, size: int) -> Reference:
        """Return fresh drawings of this size."""
        if size not in self._compared:
            self.say(f"fresh drawings of {size} pixels")
            self._compared[size] = reference(self.judge, size, self.plan.count, self.plan.n_reference, SEED)
        return self._compared[size]

    def run(self, run: RunFolder) -> Examined:
        """Measure a run.

        Raises:
            UsageError: it has nothing to do with our drawings, which the judge knows.
            RunError: it has no model yet.
        """
        recipe = read_recipe(run)
        if not isinstance(recipe, PaintRecipe) or recipe.pictures.source != PicturesConfig().source:
            raise UsageError(f"the judge knows creatures only; run {run.name!r} was not trained on them")
        if not (run.model_folder / PAINTER).is_file():
            raise RunError(f"run {run.name!r} has no model yet; it is saved at the first measurement")
        told, phase = told_by(run), phase_of(recipe)
        if phase == "text":
            return Examined(told, None)
        if phase == "vae":
            vae = load_vae(run.model_folder)
            compared = self.compared(vae.config.size)
            return Examined(told, measure_vae(vae, self.judge, compared, compared.fresh_scenes))
        painter = load_painter(run.model_folder)
        shown = recipe.pictures
        trained_on = Creatures(shown.size, shown.held_out, recipe.train.seed, share_of_pairs=shown.share_of_pairs)
        most = recipe.latent_pool if recipe.vae else self.plan.n_training
        unaveraged = without_average(run, painter)
        return Examined(told, self._painter(painter, recipe.sampling, trained_on, most, unaveraged))

    def folder(self, folder: Path, sampling: PaintSamplingConfig) -> Examined:
        """Measure a painter's folder, of which no run is known: as if it was trained on the usual drawings."""
        painter = load_painter(folder)
        usual = PicturesConfig(size=painter.size)
        trained_on = Creatures(usual.size, usual.held_out, TrainConfig().seed)
        return Examined({}, self._painter(painter, sampling, trained_on, self.plan.n_training, None))

    def _painter(
        self, painter: Painter, sampling: PaintSamplingConfig, trained_on: Creatures, most: int, other: Painter | None
    ) -> Measured:
        """Measure a painter that learned from at most so many different drawings."""
        check_judged(painter)
        plan = dataclasses.replace(self.plan, n_training=min(self.plan.n_training, most))
        compared = self.compared(painter.size)
        return measure_painter(painter, sampling, self.judge, compared, trained_on, plan, other, SEED, self.say)


def told_by(run: RunFolder) -> dict[str, Any]:
    """Return what a run measured itself: held-out losses, in all and at fixed times, with and without the average."""
    recipe, known = read_recipe(run), facts(run)
    assert isinstance(recipe, PaintRecipe)
    summary = run.summary() or {}
    lines = [line for line in run.metrics() if "validation_loss" in line]
    last = summary if "validation_loss" in summary else (lines[-1] if lines else {})
    names = (
        "picture_of_caption", "caption_of_picture", "wrong_captions_told", "foresight_error",
        "mean_squared_error", "psnr_db", "kl_nats",
    )  # fmt: skip
    return {
        "phase": phase_of(recipe),
        "path": recipe.path.path if recipe.paints else None,
        "status": known.status,
        "parameters": known.parameters,
        "steps": known.steps,
        "pictures": known.tokens,
        "seconds": known.seconds,
        "loss": last.get("validation_loss"),
        "loss_without_average": last.get("loss_without_ema"),
        "losses": {name.removeprefix("loss_t"): loss for name, loss in last.items() if name.startswith("loss_t")},
        "held_out": {name: last[name] for name in names if name in last},
    }


def without_average(run: RunFolder, painter: Painter) -> Painter | None:
    """Return a run's painter with the weights themselves at the step whose average it has.

    None: it has no average, or the checkpoint of that step is gone.
    """
    step = facts(run).best_step
    checkpoints = {int(path.name): path for path in list_checkpoints(run.checkpoints_folder)}
    if not read_recipe(run).train.ema or step not in checkpoints:
        return None
    denoiser = copy.deepcopy(painter.denoiser)
    restore(denoiser, [], load_weights(checkpoints[step]), {})
    return dataclasses.replace(painter, denoiser=denoiser.eval())
