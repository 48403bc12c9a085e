"""The recipe of a run that has to do with pictures, and reading recipes of both kinds. Importing this loads nothing heavy.

A denoiser paints; a contrastive pair learns which caption belongs to which picture; an autoencoder (VAE) makes many pixels
few latents. A denoiser that reads words stands on the run of a contrastive pair, one that works on latents on the run of a
VAE.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from cutaway.base.config import read_toml
from cutaway.base.errors import ConfigError
from cutaway.diffusion.config import (
    ContrastiveConfig,
    DiTConfig,
    PaintSamplingConfig,
    PathConfig,
    PicturesConfig,
    UNetConfig,
    VAEConfig,
)
from cutaway.recipe import Recipe, StartConfig
from cutaway.train.config import TrainConfig

Conditions = Literal["none", "labels", "words"]


@dataclass(frozen=True)
class PaintRecipe:
    """Pictures, model, path, training and painting: all there is to say about a run that has to do with pictures."""

    toml_kind: ClassVar[str] = "paint"

    name: str
    """What runs of this recipe are called, with a number behind."""
    pictures: PicturesConfig = field(default_factory=PicturesConfig)
    """Which pictures."""
    model: UNetConfig | DiTConfig | ContrastiveConfig | VAEConfig = field(default_factory=UNetConfig)
    """Which model."""
    path: PathConfig = field(default_factory=PathConfig)
    """How a picture becomes noise, and what the model predicts on the way back."""
    conditions: Conditions = "none"
    """What the model is told of the picture it is to paint: nothing, its label, or the words of its caption."""
    text: str = ""
    """With `words`: the run (or a folder) of the text encoder that reads them."""
    vae: str = ""
    """Paint latents of the VAE of this run; empty: pixels."""
    latent_pool: int = 24576
    """With a VAE: different pictures at most; each is put through the VAE once, which costs more than to train on it."""
    prompts: tuple[str, ...] = ()
    """What is asked for in samples, one a picture; empty: labels, or held-out captions."""
    text_hash: str | None = None
    """Hash of the text encoder, filled in when the run starts."""
    vae_hash: str | None = None
    """Hash of the VAE, filled in when the run starts."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How the weights are found."""
    sampling: PaintSamplingConfig = field(default_factory=PaintSamplingConfig)
    """How samples are painted."""
    start: StartConfig = field(default_factory=StartConfig)
    """With which weights it begins."""

    def __post_init__(self) -> None:
        if not self.paints and (self.conditions != "none" or self.text or self.vae):
            raise ConfigError(
                f"a {self.model.toml_kind} model paints nothing, so conditions, text and vae are not for it; expected "
                f"conditions 'none' and no text or vae"
            )
        if self.latent_pool < 1:
            raise ConfigError(f"latent_pool is {self.latent_pool}; expected 1 or more")
        if (self.conditions == "words") != bool(self.text):
            raise ConfigError(
                f"conditions is {self.conditions!r} and text is {self.text!r}; expected both 'words' and the run of a text "
                f"encoder (`cutaway paint train text`), or neither"
            )

        if self.vae and self.pictures.shift:
            raise ConfigError(
                "pictures.shift moves a picture each time another way, and a VAE reads it once; expected 0"
            )
        if self.vae and self.pictures.repeats > 1:
            raise ConfigError("pictures.repeats: latents are kept and shown again anyway (latent_pool); expected 1")
        if isinstance(self.model, UNetConfig) and self.model.ends and (self.vae or self.path.path != "flow"):
            raise ConfigError("model.ends is for pixels on the path 'flow'; expected false with a VAE or another path")

    @property
    def paints(self) -> bool:
        """Whether its model is a denoiser."""
        return isinstance(self.model, UNetConfig | DiTConfig)


def recipe_kind(path: Path) -> type[Recipe] | type[PaintRecipe]:
    """Return which kind of recipe a file holds, by its first setting; what is no recipe at all is found out on reading."""
    try:
        kind = tomllib.loads(path.read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError):
        return Recipe
    return PaintRecipe if kind == PaintRecipe.toml_kind else Recipe


def read_recipe_file(path: Path) -> Recipe | PaintRecipe:
    """Read a recipe of either kind.

    Raises:
        ConfigError: the file is missing, is not TOML, or has a name or value that does not fit.
    """
    return read_toml(recipe_kind(path), path)
