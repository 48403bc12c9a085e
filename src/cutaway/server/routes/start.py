"""Start a run: the presets, the form of one, what is wrong with a filled form."""

from __future__ import annotations

import dataclasses
import re

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.base.errors import CutawayError, RunError, UsageError, suggest
from cutaway.base.runs import free_path
from cutaway.form import FormGroup, form
from cutaway.form_values import Filled, fill
from cutaway.models.count import count_parameters
from cutaway.presets import PRESETS, given_budgets
from cutaway.recipe import Recipe
from cutaway.server.lab import TheLab

router = APIRouter()

CHARACTERS_OF_A_TEXT = 100
"""About how many different characters a text has: enough to say how large a model will be."""


class Preset(BaseModel):
    """A recipe to start from."""

    name: str
    summary: str
    """What it is for, in one or two sentences."""
    family: str
    """`gpt` or `llama`."""
    parameters: int
    """About; the text's tokens decide the rest."""
    budget: str
    """How long it trains: `2 minutes`, `1000 steps`; as the preset has it."""
    is_fitted: bool
    """Whether its size is chosen for the budget on this machine when it starts."""
    source: str
    """The text it learns from."""
    needs_text: bool
    """Whether the person must give a text first."""


class Form(BaseModel):
    """A preset as a form."""

    preset: str
    groups: list[FormGroup]


class FilledForm(BaseModel):
    """What a person filled in."""

    preset: str
    values: dict[str, str] = {}
    """Text by the setting's path; what is left out stays as in the preset."""
    name: str = ""
    """What the run is to be called; empty: the preset's name with a number behind."""


class Check(BaseModel):
    """What is wrong with a filled form, and what it amounts to."""

    errors: dict[str, str]
    """One line by the setting's path; `name` is the run's name."""
    command: str
    """What a person would type."""
    name: str
    """What the run will be called."""
    parameters: int
    """About how large the model will be."""


def preset_recipe(name: str) -> Recipe:
    """Return a preset's recipe. Only presets: a client names no files here.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}{suggest(name, PRESETS)}; presets: {', '.join(PRESETS)}")
    return PRESETS[name]()


def about_parameters(recipe: Recipe) -> int:
    """Return about how many parameters the model will have."""
    data = recipe.data
    tokens = CHARACTERS_OF_A_TEXT if data.tokenizer == "characters" else data.bpe_vocab_size
    return count_parameters(dataclasses.replace(recipe.model, vocab_size=recipe.model.vocab_size or tokens)).total


@router.get("/presets")
def presets() -> list[Preset]:
    """Return the recipes to start from."""
    found = []
    for name, make in PRESETS.items():
        recipe = make()
        budget = given_budgets(recipe.train)
        amount = f"{getattr(recipe.train, budget[0]):g} {budget[0]}" if budget else ""
        found.append(
            Preset(
                name=name,
                summary=re.split(r": give the text|, or of what", " ".join((make.__doc__ or "").split()))[0].rstrip(".")
                + ".",
                family=type(recipe.model).toml_kind,
                parameters=about_parameters(recipe),
                budget=amount.removesuffix("s") if amount.startswith("1 ") else amount,
                is_fitted=recipe.fit,
                source=recipe.data.source,
                needs_text=recipe.data.source not in ("stdlib", "stdlib_names"),
            )
        )
    return found


@router.get("/form")
def preset_form(preset: str = "stdlib") -> Form:
    """Return a preset as a form."""
    return Form(preset=preset, groups=form(preset_recipe(preset)))


@router.post("/check")
def check(lab: TheLab, filled: FilledForm) -> Check:
    """Say what is wrong with a filled form, before anything starts."""
    recipe, errors, name = checked(lab, filled)
    return Check(
        errors=errors,
        command=recipe.command(filled.preset, filled.name or None),
        name=name,
        parameters=about_parameters(recipe.recipe),
    )


def checked(lab: TheLab, filled: FilledForm) -> tuple[Filled, dict[str, str], str]:
    """Return what a form says, what is wrong with it, and what its run will be called."""
    base = preset_recipe(filled.preset)
    said = fill(base, filled.values)
    errors, name = dict(said.errors), filled.name
    if name:
        try:
            free_path(name, lab.home)
        except CutawayError as error:
            taken = isinstance(error, RunError)
            errors["name"] = f"a run {name!r} exists already; take another name" if taken else str(error)
    else:
        name = free_name(lab, said.recipe.name)
    return said, errors, name


def free_name(lab: TheLab, stem: str) -> str:
    """Return the first free of stem-1, stem-2, ..."""
    number = 1
    while (lab.home / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"
