"""A run that has to do with pictures: what all of them share.

What is learned differs: `session_denoising.py` paints, `session_matching.py` brings captions and pictures together,
`session_autoencoding.py` makes many pixels few latents. Samples are pictures of the same seeds and prompts at every step.
"""

from __future__ import annotations

import dataclasses
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from cutaway.base.runs import runs_folder
from cutaway.base.seed import derive
from cutaway.branch import find_branch
from cutaway.diffusion.config import PicturesConfig
from cutaway.diffusion.pictures import Pictures, open_pictures
from cutaway.recipe_paint import PaintRecipe
from cutaway.session import Session, prepare_process
from cutaway.train.checkpoint import Tensors
from cutaway.train.distributed import World
from cutaway.train.trainer import MEASUREMENTS
from cutaway.train.watch import Watcher


class PaintSession(Session):
    """Pictures, model and recipe, ready to train.

    Args:
        home: the folder that holds the runs it may stand on.
    """

    recipe: PaintRecipe
    model_class: ClassVar[Any]

    def __init__(self, recipe: PaintRecipe, pictures: Pictures, home: Path, world: World, watcher: Watcher) -> None:
        self.pictures, self.home = pictures, home
        self.recipe = recipe
        self.stand()
        if recipe.pictures.source == PicturesConfig().source and recipe.pictures.repeats > 1 and not recipe.vae:
            self.made_anew = 1 / recipe.pictures.repeats
        torch.manual_seed(derive(recipe.train.seed, "weights"))
        super().__init__(recipe, self.make_model(), world, watcher)

    @classmethod
    def prepare(
        cls, recipe: PaintRecipe, world: World, watcher: Watcher, is_settled: bool = False, runs: Path | None = None
    ) -> PaintSession:
        """Open the pictures and what the run stands on, build the model, and settle what the recipe leaves open."""
        home = runs or runs_folder()
        branch = None if is_settled else find_branch(recipe, home)
        prepare_process(recipe.train)
        started = time.perf_counter()
        asked = dataclasses.replace(recipe.pictures, pictures_hash=None)  # compared below, with what it stands on
        pictures = open_pictures(asked, recipe.train.seed)
        session = cls(recipe, pictures, home, world, watcher)
        session.branch = branch
        goes_on = is_settled or branch is not None
        source = recipe.pictures.source
        session.check_ground(goes_on)
        session.check_same(f"what {source!r} holds", recipe.pictures.pictures_hash, session.pictures.hash, goes_on)
        session.describe()
        if not is_settled:
            session.settle(time.perf_counter() - started + session.seconds_beside_steps())
        return session

    def stand(self) -> None:
        """Open what the run stands on."""
        return

    def check_ground(self, goes_on: bool) -> None:
        """Compare what the run stands on with what it stood on."""
        return

    @abstractmethod
    def make_model(self) -> nn.Module:
        """Return the recipe's model with the sizes that the pictures have."""

    def describe(self) -> None:
        """Say what is learned from what."""
        pictures, shape = self.pictures, self.recipe.pictures
        many = f"{pictures.count:,}" if pictures.count else "endless"
        learns = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        say = self.watcher.say
        say(
            f"{shape.source}: {many} pictures of {shape.size} x {shape.size}, {len(pictures.held_out.captions):,} held out"
        )
        for note in pictures.notes:
            say(note)
        say(f"{self.recipe.model.toml_kind}: {learns:,} numbers learn")

    def seconds_beside_steps(self) -> float:
        """Return about how long the run's samples will take, of a budget in minutes: one is made and timed."""
        if self.recipe.train.minutes is None or self.recipe.train.sample_every == 0:
            return 0.0
        self.model.to(self.world.device).eval()
        started = time.perf_counter()
        with torch.no_grad():
            self.objective.sample(self.model, 0)
        return (MEASUREMENTS + 2) * (time.perf_counter() - started)

    def note(self) -> PaintRecipe:
        """Return the recipe with the hash of the pictures and the sizes of the model."""
        pictures = dataclasses.replace(self.recipe.pictures, pictures_hash=self.pictures.hash)
        model: Any = self.model.config
        return dataclasses.replace(self.recipe, pictures=pictures, model=model)

    def rebuild(self, weights: Tensors) -> nn.Module:
        """Return a model of its own with these weights."""
        model = self.model_class(self.model.config)
        model.load_state_dict(weights, strict=False)
        return model
