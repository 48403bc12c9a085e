"""Recipes of pictures small enough to train in a test: pictures of 16 pixels, two steps, one recipe a phase."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from cutaway.diffusion.config import (
    ContrastiveConfig,
    DiTConfig,
    PaintSamplingConfig,
    PicturesConfig,
    TextEncoderConfig,
    UNetConfig,
    VAEConfig,
)
from cutaway.presets_paint import PHASES
from cutaway.recipe_paint import PaintRecipe
from cutaway.train.config import TrainConfig

TRAIN = TrainConfig(
    steps=2, batch_size=4, optimizer="adamw", precision="float32", compile="off", threads=1, ema=0.9,
    validation_tokens=24, final_validation_tokens=24,
)  # fmt: skip
MODELS: dict[str, Any] = {
    "unet": UNetConfig(width=8, multipliers=(1, 2), n_heads=2),
    "dit": DiTConfig(d_model=16, n_layers=1, n_heads=2),
    "labels": DiTConfig(d_model=16, n_layers=1, n_heads=2),
    "text": ContrastiveConfig(width=4, text=TextEncoderConfig(d_model=16, n_layers=1, n_heads=2, d_shared=8)),
    "words": DiTConfig(d_model=16, n_layers=1, n_heads=2),
    "vae": VAEConfig(width=4),
    "latents": DiTConfig(d_model=16, n_layers=1, n_heads=2, patch=1),
}


def tiny(phase: str, **train: Any) -> PaintRecipe:
    """Return a phase's recipe, tiny."""
    recipe = PHASES[phase].make()
    guidance = recipe.sampling.guidance
    return dataclasses.replace(
        recipe,
        pictures=PicturesConfig(size=16, held_out=8),
        model=MODELS[phase],
        train=dataclasses.replace(TRAIN, **train),
        sampling=PaintSamplingConfig(steps=2, guidance=guidance, n=4),
        latent_pool=96,
    )


def train_all(runs: Path) -> None:
    """Train every phase, each on the ones before."""
    from cutaway.workbench import train

    for phase in PHASES:
        train(tiny(phase), runs=runs)
