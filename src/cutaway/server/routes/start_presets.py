"""What a run can be started from: the presets of text, and the phases from noise to a picture of a sentence."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.base.errors import UsageError, suggest
from cutaway.diffusion.config import PicturesConfig
from cutaway.models.count import count_parameters
from cutaway.presets import PRESETS, given_budgets
from cutaway.presets_paint import PHASES, missing_of, needs_first, standing
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe
from cutaway.server.lab import TheLab

router = APIRouter()

CHARACTERS_OF_A_TEXT = 100
"""About how many different characters a text has: enough to say how large a model will be."""
PAINT = {f"paint-{name}": phase for name, phase in PHASES.items()}
"""The phases, by the names of their recipes."""
PICTURES = PicturesConfig().source


class Preset(BaseModel):
    """A recipe to start from."""

    name: str
    about: Literal["text", "pictures"]
    summary: str
    """What it is for, in one or two sentences."""
    family: str
    """`gpt` or `llama`; of pictures `unet`, `dit`, `contrastive` or `vae`."""
    parameters: int | None
    """About; the text's tokens decide the rest. null: of pictures, not known before it is built."""
    budget: str
    """How long it trains: `2 minutes`, `1000 steps`; as the preset has it."""
    is_fitted: bool
    """Whether its size is chosen for the budget on this machine when it starts."""
    source: str
    """The text or the pictures it learns from."""
    needs_text: bool
    """Whether the person must give a text first."""
    missing: list[str] = []
    """Phases that have to be trained before this one."""


@dataclass(frozen=True)
class Begun:
    """A preset as a form begins with it."""

    recipe: Recipe | PaintRecipe
    start: tuple[str, ...]
    """Words of its command before the run's name."""
    more: tuple[str, ...] = ()
    """Words that its command has beside those of changed settings."""
    errors: dict[str, str] = field(default_factory=dict)
    """What stands in its way, by the setting."""


def begin(name: str, home: Path, values: Mapping[str, str]) -> Begun:
    """Return a preset, standing on the runs of this folder that it needs. Only presets: a client names no files here.

    Args:
        values: a form's; which pictures a phase learns from decides which runs it can stand on.

    Raises:
        UsageError: there is none of this name.
    """
    if name in PRESETS:
        return Begun(PRESETS[name](), ("train", name))
    if name not in PAINT:
        known = [*PRESETS, *PAINT]
        raise UsageError(f"there is no preset {name!r}{suggest(name, known)}; presets: {', '.join(known)}")
    phase = PAINT[name]
    source = values.get("pictures.source", "").strip() or PICTURES
    missing = missing_of(phase, source, home)
    return Begun(
        phase.make(source) if missing else standing(phase, source, home),
        ("paint", "train", phase.name),
        () if source == PICTURES else ("--pictures.source", source),
        {needed: needs_first(phase, needed, source) for needed in missing},
    )


def about_tokens(recipe: Recipe) -> int:
    """Return about how many different tokens the text will have."""
    return CHARACTERS_OF_A_TEXT if recipe.data.tokenizer == "characters" else recipe.data.bpe_vocab_size


def about_size(recipe: Recipe | PaintRecipe) -> int | None:
    """Return about how many parameters the model will have, where its recipe says enough."""
    if isinstance(recipe, PaintRecipe):
        return None
    tokens = recipe.model.vocab_size or about_tokens(recipe)
    return count_parameters(dataclasses.replace(recipe.model, vocab_size=tokens)).total


@router.get("/presets")
def presets(lab: TheLab) -> list[Preset]:
    """Return the recipes to start from: of text, then of pictures."""
    return [told(name, lab.home) for name in (*PRESETS, *PAINT)]


def told(name: str, home: Path) -> Preset:
    """Return what there is to say about a preset."""
    is_text = name in PRESETS
    recipe: Recipe | PaintRecipe = PRESETS[name]() if is_text else PAINT[name].make()
    doc = " ".join((PRESETS[name].__doc__ or "").split()) if is_text else PAINT[name].summary
    budget = given_budgets(recipe.train)
    amount = f"{getattr(recipe.train, budget[0]):g} {budget[0]}" if budget else ""
    source = recipe.data.source if isinstance(recipe, Recipe) else recipe.pictures.source
    return Preset(
        name=name,
        about="text" if is_text else "pictures",
        summary=re.split(r": give the text|, or of what", doc)[0].rstrip(".") + ".",
        family=type(recipe.model).toml_kind,
        parameters=about_size(recipe),
        budget=amount.removesuffix("s") if amount.startswith("1 ") else amount,
        is_fitted=isinstance(recipe, Recipe) and recipe.fit,
        source=source,
        needs_text=is_text and source not in ("stdlib", "stdlib_names"),
        missing=[] if is_text else missing_of(PAINT[name], PICTURES, home),
    )
