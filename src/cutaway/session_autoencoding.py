"""A run that learns to make many pixels few latents, and pixels of them again."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import nn

from cutaway.base.objective import Sample
from cutaway.base.runs import RunFolder
from cutaway.diffusion.autoencoding import Autoencoding
from cutaway.diffusion.config import VAEConfig
from cutaway.diffusion.painter_folder import save_vae
from cutaway.diffusion.picture_files import png_bytes, to_uint8
from cutaway.diffusion.vae import VAE
from cutaway.session_paint import PaintSession

SHOWN = 8
SCALED_BY = 512
"""Held-out pictures whose latents' spread is measured."""


class AutoencodingSession(PaintSession):
    """Pictures and a VAE."""

    model_class = VAE

    def make_model(self) -> VAE:
        """Return the VAE, for pictures of this size."""
        config = self.recipe.model
        assert isinstance(config, VAEConfig)
        return VAE(dataclasses.replace(config, size=self.pictures.size, channels=self.pictures.channels))

    def make_objective(self) -> Autoencoding:
        """Return the task."""
        assert isinstance(self.model, VAE)
        return Autoencoding(self.model, self.pictures, self.recipe.train.seed, self.show)

    def export(self, run: RunFolder, model: nn.Module) -> None:
        """Write the VAE, the scale of its latents measured."""
        assert isinstance(model, VAE)
        finished = copy.deepcopy(model).eval()
        finished.measure_scale(self.pictures.held_out.x_BCYX[:SCALED_BY].to(self.world.device))
        save_vae(run.model_folder, finished)

    def show(self, model: nn.Module, step: int) -> Sample:
        """Return held-out pictures, and below them what came back."""
        x_BCYX = self.pictures.held_out.x_BCYX[:SHOWN].to(self.world.device)
        assert isinstance(model, VAE)
        back_BCYX = model.decode(model.encode(x_BCYX))
        sheet = png_bytes(to_uint8(torch.cat([x_BCYX, back_BCYX])), columns=len(x_BCYX))
        return Sample("above: held-out pictures; below: through the latents and back", picture=sheet)
