"""Start a run: the presets, the form of one, what is wrong with a filled form."""

from __future__ import annotations

import dataclasses
import re

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.base.errors import CutawayError, RunError, UsageError, suggest
from cutaway.base.runs import free_path, list_runs
from cutaway.estimate import Estimate, estimate, estimate_of_pictures, speeds
from cutaway.form import FormGroup, form
from cutaway.form_values import Filled, fill, train_words
from cutaway.models.count import count_parameters
from cutaway.presets import PRESETS, given_budgets
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe
from cutaway.server.jobs import Job
from cutaway.server.lab import TheLab
from cutaway.server.routes.uploads import UPLOADS

router = APIRouter()

UNFINISHED = ("queued", "running")
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
    parameters: int | None
    """About how large the model will be. None: not known before it is built (what has to do with pictures)."""
    estimate: Estimate
    """About what it will take."""


def preset_recipe(name: str) -> Recipe:
    """Return a preset's recipe. Only presets: a client names no files here.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}{suggest(name, PRESETS)}; presets: {', '.join(PRESETS)}")
    return PRESETS[name]()


def about_tokens(recipe: Recipe) -> int:
    """Return about how many different tokens the text will have."""
    return CHARACTERS_OF_A_TEXT if recipe.data.tokenizer == "characters" else recipe.data.bpe_vocab_size


def about_parameters(recipe: Recipe) -> int:
    """Return about how many parameters the model will have."""
    tokens = recipe.model.vocab_size or about_tokens(recipe)
    return count_parameters(dataclasses.replace(recipe.model, vocab_size=tokens)).total


def about_size(recipe: Recipe | PaintRecipe) -> int | None:
    """Return about how many parameters the model will have, where its recipe says enough."""
    return about_parameters(recipe) if isinstance(recipe, Recipe) else None


def about_cost(lab: TheLab, recipe: Recipe | PaintRecipe) -> Estimate:
    """Return about what a training will take on this machine."""
    if isinstance(recipe, PaintRecipe):
        return estimate_of_pictures(recipe)
    return estimate(recipe, about_tokens(recipe), speeds(list_runs(lab.home)))


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
        parameters=about_size(recipe.recipe),
        estimate=about_cost(lab, recipe.recipe),
    )


@router.post("/runs")
def start(lab: TheLab, filled: FilledForm) -> Job:
    """Start a run: put its command into the queue."""
    said, errors, name = checked(lab, filled)
    refuse_first(errors)
    return lab.jobs.submit(train_words(filled.preset, said.words, name), "train", name)


def refuse_first(errors: dict[str, str]) -> None:
    """Refuse a form with its first mistake.

    Raises:
        UsageError: there is one; it says in which field.
    """
    for place, line in errors.items():
        error = UsageError(line)
        error.field = place
        raise error


def checked(lab: TheLab, filled: FilledForm) -> tuple[Filled, dict[str, str], str]:
    """Return what a form says, what is wrong with it, and what its run will be called."""
    said = fill(preset_recipe(filled.preset), filled.values)
    return said, said.errors | name_error(lab, filled.name), filled.name or free_name(lab, said.recipe.name)


def name_error(lab: TheLab, name: str) -> dict[str, str]:
    """Return what is wrong with the name a person gave to a run."""
    if not name:
        return {}
    try:
        free_path(name, lab.home)
    except RunError:
        return {"name": f"a run {name!r} exists already; take another name"}
    except CutawayError as error:
        return {"name": str(error)}
    is_taken = name == UPLOADS or name in waiting_names(lab)
    return {"name": f"the name {name!r} is taken; take another"} if is_taken else {}


def waiting_names(lab: TheLab) -> set[str]:
    """Return the names of runs that have no folder yet but are in the queue."""
    return {job.target for job in lab.jobs.list() if job.state in UNFINISHED}


def free_name(lab: TheLab, stem: str) -> str:
    """Return the first free of stem-1, stem-2, ..."""
    waiting, number = waiting_names(lab), 1
    while (lab.home / f"{stem}-{number}").exists() or f"{stem}-{number}" in waiting:
        number += 1
    return f"{stem}-{number}"
