"""Recipes of pictures, phase by phase: each stands on the ones before. Importing this loads nothing heavy.

1  unet      noise becomes pictures, by flow matching with a small U-Net
2  dit       the same with a diffusion transformer
3  labels    a U-Net that is told which creature, with guidance
4  text      captions and pictures find each other: a text encoder
   words     a U-Net that reads its words
5  vae       pictures of 64 pixels as a small map of latents
   latents   a U-Net that paints those latents by words

`latents-dit` paints them with a transformer, in the same time less well (docs/log.md); `digits1` and `digits2` are phases 1
and 2 on handwritten digits.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cutaway.base.errors import CutawayError, RunError, UsageError, suggest
from cutaway.base.runs import RunFolder, list_runs
from cutaway.diffusion.config import (
    ContrastiveConfig,
    DiTConfig,
    PaintSamplingConfig,
    PathConfig,
    PicturesConfig,
    TextEncoderConfig,
    UNetConfig,
    VAEConfig,
)
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import PAINTER, read_recipe
from cutaway.train.config import TrainConfig

SHIPPED = Path(__file__).parent / "diffusion" / "shipped"
"""The painter that comes with the package: its weights, recipes, figures and hashes."""
PROMPTS = (
    "a cat wearing a tiny hat",
    "a red cat wearing a tiny blue hat at night",
    "a big green dog wearing glasses",
    "a purple owl on the beach",
    "a small orange fish wearing a big bow",
    "a blue rabbit wearing yellow boots in the meadow",
    "a snail wearing a red scarf",
    "a brown bear left of a small blue fox",
)
"""What samples of creatures show, at every step the same."""


WORD_PATH = PathConfig(times="logit_normal", times_mean=-0.2, detail_weight=1.0)
"""Of those that read words: times in the middle, and early ones, where words have to say what no picture shows yet; and
more weight where a picture has detail, since what is worn is small."""
LATENT_PATH = PathConfig(times="logit_normal", times_mean=-0.5, detail_weight=1.0)
"""Of those that paint latents: times earlier still, since the decoder makes a clean picture of latents that are noisy."""
REPEATS = 4
"""How often a drawing is shown: drawing takes a third of a step."""


def training(minutes: float | None, **more: Any) -> TrainConfig:
    """How all of them are trained: Muon, a short warm-up, a rate that falls to zero, an average of the weights."""
    settings: dict[str, Any] = {
        "minutes": minutes, "batch_size": 64, "optimizer": "muon", "learning_rate": 3e-3, "weight_decay": 0.01,
        "beta2": 0.99, "schedule": "stable", "warmup_fraction": 0.03, "decay_fraction": 0.4, "ema": 0.995,
        "precision": "auto", "compile": "off", "validation_tokens": 1536, "final_validation_tokens": 6144,
    }  # fmt: skip
    return TrainConfig(**{**settings, **more})


def pictures(source: str, size: int = 32, repeats: int = REPEATS, share_of_pairs: float = 1 / 6) -> PicturesConfig:
    """Drawings that are shown again, or what lies in files."""
    if source != "creatures":
        return PicturesConfig(source, size)
    return PicturesConfig(source, size, repeats=repeats, share_of_pairs=share_of_pairs)


def unet(source: str = "creatures") -> PaintRecipe:
    """Flow matching with a small U-Net: noise becomes pictures, told nothing."""
    return PaintRecipe(
        name="paint-unet",
        pictures=pictures(source),
        model=UNetConfig(patch=2, width=64, multipliers=(1, 2)),
        train=training(6),
        sampling=PaintSamplingConfig(guidance=1.0),
    )


def dit(source: str = "creatures") -> PaintRecipe:
    """The same with a diffusion transformer: patches, and adaLN-zero."""
    return PaintRecipe(
        name="paint-dit",
        pictures=pictures(source),
        model=DiTConfig(modulation="shared"),
        train=training(6),
        sampling=PaintSamplingConfig(guidance=1.0),
    )


def labels(source: str = "creatures") -> PaintRecipe:
    """A U-Net that is told a label (of creatures: which one), dropped one time in ten, so that guidance works."""
    return PaintRecipe(
        name="paint-labels",
        pictures=pictures(source, share_of_pairs=0.0),  # a label names one
        model=UNetConfig(patch=2, width=64, multipliers=(1, 2)),
        conditions="labels",
        train=training(6),
        sampling=PaintSamplingConfig(guidance=3.0),
    )


def text(source: str = "creatures") -> PaintRecipe:
    """Captions and pictures find each other (a small CLIP): a text encoder for those that read words."""
    return PaintRecipe(
        name="paint-text",
        pictures=pictures(source, share_of_pairs=0.5),  # who stands where is the hardest to read
        model=ContrastiveConfig(text=TextEncoderConfig(n_layers=2)),
        train=training(11, batch_size=128, validation_tokens=512, final_validation_tokens=1024),
    )


def words(source: str = "creatures", text: str = "paint-text-1") -> PaintRecipe:
    """A U-Net whose places read the words of a caption by cross-attention, and that paints what they say."""
    return PaintRecipe(
        name="paint-words",
        pictures=pictures(source),
        model=UNetConfig(patch=2, width=64, multipliers=(1, 2)),
        path=WORD_PATH,
        conditions="words",
        text=text,
        prompts=PROMPTS if source == "creatures" else (),
        train=training(40),
        sampling=PaintSamplingConfig(guidance=2.0),  # more draws what is worn too big
    )


def vae(source: str = "creatures") -> PaintRecipe:
    """Pictures of 64 pixels as a small map of latents, and back."""
    return PaintRecipe(
        name="paint-vae",
        pictures=pictures(source, 64),
        model=VAEConfig(latent_channels=4, kl_weight=4e-3, coarse_weight=4.0),
        train=training(9, batch_size=32, validation_tokens=256, final_validation_tokens=1024),
    )


def latents(source: str = "creatures", text: str = "paint-text-1", vae: str = "paint-vae-1") -> PaintRecipe:
    """A U-Net that paints latents of 64-pixel pictures by words."""
    return PaintRecipe(
        name="paint-latents",
        pictures=pictures(source, 64, repeats=1),
        model=UNetConfig(patch=1, width=64, multipliers=(1, 2)),
        path=LATENT_PATH,
        conditions="words",
        text=text,
        vae=vae,
        prompts=PROMPTS if source == "creatures" else (),
        train=training(33),
        sampling=PaintSamplingConfig(guidance=3.0),
    )


def latents_dit(source: str = "creatures", text: str = "paint-text-1", vae: str = "paint-vae-1") -> PaintRecipe:
    """The same with a transformer, whose patches read the words in every block."""
    model = DiTConfig(patch=2, mlp_ratio=3, modulation="shared")
    return replace(latents(source, text, vae), name="paint-latents-dit", model=model)


def digits_unet(source: str) -> PaintRecipe:
    """Phase 1 on handwritten digits: a file of MNIST, given with --pictures.source."""
    model = UNetConfig(patch=2, ends=True, width=88, multipliers=(1, 1), n_heads=2, attention_from=7)
    rates = {"muon_learning_rate": 0.015, "learning_rate": 2e-3, "decay_fraction": 0.5, "ema": 0.998}
    train = training(None, steps=8000, **rates)
    pictures = replace(digits(source), shift=1, shift_epochs=38)  # of 57 passes over 9,000 digits
    return replace(unet(source), name="digits-unet", pictures=pictures, model=model, train=train)


def digits_dit(source: str) -> PaintRecipe:
    """Phase 2 on handwritten digits: a file of MNIST, given with --pictures.source."""
    train = training(None, steps=1400, learning_rate=2e-3, decay_fraction=0.5, ema=0.998)
    return replace(dit(source), name="digits-dit", pictures=digits(source), train=train)


def digits(source: str) -> PicturesConfig:
    """Digits as they are: 28 pixels."""
    return PicturesConfig(source, size=28, held_out=1000)


@dataclass(frozen=True)
class Phase:
    """One step of the way from noise to a picture of a sentence."""

    name: str
    number: int
    make: Callable[..., PaintRecipe]
    needs: tuple[str, ...] = ()
    """Phases whose runs it stands on: arguments of `make` of these names."""

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        return " ".join((self.make.__doc__ or "").split())


PHASES = {
    phase.name: phase
    for phase in (
        Phase("unet", 1, unet),
        Phase("dit", 2, dit),
        Phase("labels", 3, labels),
        Phase("text", 4, text),
        Phase("words", 4, words, ("text",)),
        Phase("vae", 5, vae),
        Phase("latents", 5, latents, ("text", "vae")),
    )
}
"""In the order in which they are trained."""
OTHERS = {"latents-dit": Phase("latents-dit", 5, latents_dit, ("text", "vae"))}
"""Another model for a phase; not among those that are trained one after the other."""
DIGITS = {phase.name: phase for phase in (Phase("digits1", 1, digits_unet), Phase("digits2", 2, digits_dit))}
"""The same on real pictures, of which one has to give a file."""
LAST_OF = {f"phase{phase.number}": phase.name for phase in PHASES.values()}
"""A phase's number stands for the model that it ends with."""


def find_phase(name: str) -> Phase:
    """Return a phase by its name or number.

    Raises:
        UsageError: there is none.
    """
    known = LAST_OF.get(name, name)
    if known in OTHERS or known in DIGITS:
        return (OTHERS | DIGITS)[known]
    if known not in PHASES:
        near = suggest(name, [*PHASES, *OTHERS, *DIGITS, *LAST_OF, "all"])
        raise UsageError(f"there is no phase {name!r}{near}; there is {', '.join(PHASES)}, or all")
    return PHASES[known]


def phase_of(recipe: PaintRecipe) -> str:
    """Return the name of the phase that a recipe belongs to, by what it trains."""
    if not recipe.paints:
        return "text" if isinstance(recipe.model, ContrastiveConfig) else "vae"
    if recipe.conditions == "words":
        return "latents" if recipe.vae else "words"
    if recipe.conditions == "labels":
        return "labels"
    return "unet" if isinstance(recipe.model, UNetConfig) else "dit"


def runs_of(phase: str, source: str, home: Path | None = None) -> list[RunFolder]:
    """Return the runs of a phase on these pictures, oldest first."""
    found = []
    for run in list_runs(home):
        try:
            recipe = read_recipe(run)
        except CutawayError:
            continue
        if isinstance(recipe, PaintRecipe) and recipe.pictures.source == source and phase_of(recipe) == phase:
            found.append(run)
    return found


def painters(home: Path | None = None) -> list[RunFolder]:
    """Return the runs that paint by words and have something to paint with, oldest first."""
    found = []
    for run in list_runs(home):
        try:
            recipe = read_recipe(run)
        except CutawayError:
            continue
        if isinstance(recipe, PaintRecipe) and recipe.conditions == "words" and (run.model_folder / PAINTER).is_file():
            found.append(run)
    return found


def finished_of(phase: str, source: str, home: Path | None = None) -> list[RunFolder]:
    """Return the finished runs of a phase on these pictures, oldest first."""
    return [run for run in runs_of(phase, source, home) if run.status() == "finished"]


def missing_of(phase: Phase, source: str, home: Path | None = None) -> list[str]:
    """Return the phases that have to be trained on these pictures before this one."""
    return [needed for needed in phase.needs if not finished_of(needed, source, home)]


def needs_first(phase: Phase, needed: str, source: str) -> str:
    """Return in a line what has to be trained before this phase."""
    pictures = "" if source == PicturesConfig().source else f" --pictures.source {shlex.quote(source)}"
    first = f"cutaway paint train {needed}{pictures}"
    return f"{phase.name} stands on a run of {needed!r}, and none is finished; first `{first}`"


def standing(phase: Phase, source: str = "creatures", home: Path | None = None) -> PaintRecipe:
    """Return a phase's recipe, standing on the newest finished runs of the phases that it needs.

    Raises:
        RunError: one of those has no finished run.
    """
    for needed in missing_of(phase, source, home):
        raise RunError(needs_first(phase, needed, source))
    return phase.make(source, **{needed: finished_of(needed, source, home)[-1].name for needed in phase.needs})
