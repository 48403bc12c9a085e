"""Start a run: a preset's form, what is wrong with a filled one, and the command that it amounts to."""

from __future__ import annotations

import shlex

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.base.errors import CutawayError, RunError, UsageError
from cutaway.base.runs import free_path, list_runs
from cutaway.estimate import Estimate, estimate, estimate_of_pictures, speeds
from cutaway.form import FormGroup, form
from cutaway.form_values import Filled, fill, train_words
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe
from cutaway.server.jobs import Job
from cutaway.server.lab import TheLab
from cutaway.server.routes import start_presets
from cutaway.server.routes.start_presets import Begun, about_size, about_tokens, begin
from cutaway.server.routes.uploads import UPLOADS

router = APIRouter()
router.include_router(start_presets.router)

UNFINISHED = ("queued", "running")


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


def about_cost(lab: TheLab, recipe: Recipe | PaintRecipe) -> Estimate:
    """Return about what a training will take on this machine."""
    if isinstance(recipe, PaintRecipe):
        return estimate_of_pictures(recipe)
    return estimate(recipe, about_tokens(recipe), speeds(list_runs(lab.home)))


@router.get("/form")
def preset_form(lab: TheLab, preset: str = "stdlib") -> Form:
    """Return a preset as a form."""
    return Form(preset=preset, groups=form(begin(preset, lab.home, {}).recipe))


@router.post("/check")
def check(lab: TheLab, filled: FilledForm) -> Check:
    """Say what is wrong with a filled form, before anything starts."""
    begun, said, errors, name = checked(lab, filled)
    return Check(
        errors=errors,
        command=shlex.join(["cutaway", *train_words(begun.start, [*begun.more, *said.words], filled.name)]),
        name=name,
        parameters=about_size(said.recipe),
        estimate=about_cost(lab, said.recipe),
    )


@router.post("/runs")
def start(lab: TheLab, filled: FilledForm) -> Job:
    """Start a run: put its command into the queue."""
    begun, said, errors, name = checked(lab, filled)
    refuse_first(errors)
    return lab.jobs.submit(train_words(begun.start, [*begun.more, *said.words], name), "train", name)


def refuse_first(errors: dict[str, str]) -> None:
    """Refuse a form with its first mistake.

    Raises:
        UsageError: there is one; it says in which field.
    """
    for place, line in errors.items():
        error = UsageError(line)
        error.field = place
        raise error


def checked(lab: TheLab, filled: FilledForm) -> tuple[Begun, Filled, dict[str, str], str]:
    """Return what a form begins with, what it says, what is wrong with it, and what its run will be called."""
    begun = begin(filled.preset, lab.home, filled.values)
    said = fill(begun.recipe, filled.values)
    errors = said.errors | begun.errors | name_error(lab, filled.name)
    return begun, said, errors, filled.name or free_name(lab, said.recipe.name)


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
