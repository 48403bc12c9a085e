"""A run that learns to paint: a U-Net or a diffusion transformer, on pixels or latents, told nothing, labels or words."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from torch import nn

from cutaway.base.errors import ConfigError, RunError
from cutaway.base.files import content_hash
from cutaway.base.objective import Sample
from cutaway.base.runs import RunFolder, open_run
from cutaway.diffusion.clip_folder import load_clip_folder
from cutaway.diffusion.config import DiTConfig, UNetConfig
from cutaway.diffusion.contrastive import PictureEncoder
from cutaway.diffusion.denoising import Denoising, LabelConditioner
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.latents import BLOCK, Latents
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.painter_folder import FILE, load_reader, load_text, load_vae, save_painter
from cutaway.diffusion.picture_files import png_bytes
from cutaway.diffusion.text_conditioner import TextConditioner
from cutaway.diffusion.unet import UNet
from cutaway.diffusion.vae import VAE
from cutaway.recipe_paint import PaintRecipe
from cutaway.session_paint import PaintSession

MODELS: dict[type, type[nn.Module]] = {UNetConfig: UNet, DiTConfig: DiT}


class DenoisingSession(PaintSession):
    """Pictures, a denoiser, and what it stands on."""

    text: TextConditioner | None = None
    reader: PictureEncoder | None = None
    clip_folder: Path | None = None
    vae: VAE | None = None

    def stand(self) -> None:
        """Open the text encoder and the VAE; with one, the pictures are its latents from here on."""
        recipe = self.recipe
        if recipe.text:
            folder = part_folder(recipe.text, self.home)
            if (folder / FILE).is_file():
                self.text, self.reader = load_text(folder), load_reader(folder)
            else:
                self.text, self.clip_folder = TextConditioner(*load_clip_folder(folder)), folder
        if recipe.vae:
            self.vae = load_vae(part_folder(recipe.vae, self.home))
            if (size := self.vae.config.size) != recipe.pictures.size:
                raise ConfigError(
                    f"pictures.size is {recipe.pictures.size}, but the VAE {recipe.vae!r} is of pictures of {size}; "
                    f"expected the same"
                )
            self.pictures = Latents(self.pictures, self.vae, recipe.latent_pool)
        if recipe.conditions == "labels" and not self.pictures.n_labels:
            raise ConfigError(f"conditions is 'labels', but the pictures {recipe.pictures.source!r} have none")

    def check_ground(self, goes_on: bool) -> None:
        """Refuse to go on over another text encoder or VAE."""
        recipe = self.recipe
        self.check_same(f"the text encoder {recipe.text!r}", recipe.text_hash, self.text_hash or "", goes_on)
        self.check_same(f"the VAE {recipe.vae!r}", recipe.vae_hash, self.vae_hash or "", goes_on)

    @property
    def text_hash(self) -> str | None:
        """Of the text encoder's weights."""
        return None if self.text is None else weights_hash(self.text.encoder)

    @property
    def vae_hash(self) -> str | None:
        """Of the VAE."""
        return None if self.vae is None else self.vae.hash

    def make_model(self) -> nn.Module:
        """Return the denoiser, as large as what it denoises and told what there is to tell."""
        config, pictures = self.recipe.model, self.pictures
        assert isinstance(config, UNetConfig | DiTConfig)
        encoder: Any = None if self.text is None else self.text.encoder
        labels = pictures.n_labels if self.recipe.conditions == "labels" else 0
        words = 0 if encoder is None else encoder.d_words
        config = dataclasses.replace(
            config, size=pictures.size, channels=pictures.channels, n_labels=labels, d_words=words
        )
        if isinstance(config, DiTConfig):
            config = dataclasses.replace(config, d_pooled=0 if encoder is None else encoder.d_pooled)
        return MODELS[type(config)](config)

    def seconds_beside_steps(self) -> float:
        """Return about how long samples take, and putting the pool of pictures through the VAE: a block of it is timed.

        Of a short budget, half: every step has to wait for new pictures then, which takes about as long as the step.
        """
        seconds, minutes = super().seconds_beside_steps(), self.recipe.train.minutes
        if minutes is not None and isinstance(self.pictures, Latents):
            self.pictures.batch(0, 1)  # the first block warms up
            started = time.perf_counter()
            self.pictures.batch(BLOCK, 1)
            seconds += min(self.pictures.n_blocks * (time.perf_counter() - started), 60 * minutes / 2)
        return seconds

    @property
    def model_class(self) -> type[nn.Module]:
        """U-Net or transformer."""
        return MODELS[type(self.recipe.model)]

    def make_objective(self) -> Denoising:
        """Return the task."""
        recipe = self.recipe
        labels = LabelConditioner(self.pictures.n_labels) if recipe.conditions == "labels" else None
        if self.vae is not None:
            self.vae.to(self.world.device)
        if self.text is not None:
            self.text.encoder.to(self.world.device)
        conditioner = self.text or labels
        return Denoising(self.model, self.pictures, recipe.path, recipe.train.seed, conditioner, self.show)

    def note(self) -> PaintRecipe:
        """Return the recipe with the hashes of what it stands on."""
        return dataclasses.replace(super().note(), text_hash=self.text_hash, vae_hash=self.vae_hash)

    def painter(self, model: nn.Module) -> Painter:
        """Return a painter with these weights."""
        names = tuple(self.pictures.names) if self.recipe.conditions == "labels" else ()
        return Painter(model, self.recipe.path, self.text, names, self.vae, self.clip_folder, self.reader)

    def export(self, run: RunFolder, model: nn.Module) -> None:
        """Write the painter."""
        save_painter(run.model_folder, self.painter(model))

    @property
    def prompts(self) -> list[str]:
        """What is asked for in samples, one a picture: the recipe's, else labels or held-out captions, the first ones."""
        n = self.recipe.sampling.n
        known = {
            "none": [""],
            "labels": [str(name) for name in self.pictures.names],
            "words": self.pictures.held_out.captions[:n],
        }
        ways = list(self.recipe.prompts or known[self.recipe.conditions])
        return [ways[i % len(ways)] for i in range(n)]

    def show(self, model: nn.Module, step: int) -> Sample:
        """Return what the model paints now: the same seeds and prompts at every step."""
        config, prompts = self.recipe.sampling, self.prompts
        painted = paint(self.painter(model), prompts, config, range(config.seed, config.seed + config.n))
        return Sample("\n".join(filter(None, prompts)), "", config.seed, png_bytes(painted.pictures, columns=4))


def part_folder(name: str, home: Path) -> Path:
    """Return the folder of a text encoder or a VAE: a run's model, or the folder itself.

    Raises:
        RunError: there is no such run or folder, or the run has saved nothing yet.
    """
    path = Path(name).expanduser()
    if path.is_dir() and not (path / "recipe.toml").is_file():
        return path
    run = open_run(name, home)
    if not run.model_folder.is_dir():
        raise RunError(f"run {run.name!r} has no model yet to stand on; it is saved at its first measurement")
    return run.model_folder


def weights_hash(model: nn.Module) -> str:
    """Return a hash of all weights."""
    parts = ((name, tensor.detach().float().cpu().contiguous()) for name, tensor in sorted(model.state_dict().items()))
    return content_hash(part for name, tensor in parts for part in (name, tensor.numpy().tobytes()))
