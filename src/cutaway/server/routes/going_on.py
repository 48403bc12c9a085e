"""What a run that exists can be asked: to stop, to go on, to branch."""

from __future__ import annotations

import shlex

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.base.errors import CutawayError, RunError, UsageError
from cutaway.branch import branch_recipe, find_branch
from cutaway.form_values import Filled, culprit, fill
from cutaway.server.elsewhere import stop_elsewhere
from cutaway.server.jobs import Job
from cutaway.server.lab import TheLab
from cutaway.server.routes.runs import is_waiting
from cutaway.server.routes.start import (
    UNFINISHED,
    Check,
    about_cost,
    free_name,
    name_error,
    refuse_first,
)
from cutaway.server.routes.start_presets import about_size

router = APIRouter()


class FilledBranch(BaseModel):
    """A branch from a run."""

    step: int
    """Of the checkpoint it begins with."""
    values: dict[str, str] = {}
    """Changed settings, text by path."""
    name: str = ""
    """What the new run is to be called; empty: as the recipe says, with a number behind."""


@router.post("/runs/{name}/stop")
def stop(lab: TheLab, name: str) -> Job | None:
    """Ask a run's training to end after its step; what was done is saved. A run that waits is taken off the queue. null: it
    was no job of this lab, but typed in a terminal."""
    for job in lab.jobs.of(name):
        if job.kind == "train" and job.state in UNFINISHED:
            return lab.jobs.stop(job.id)
    if lab.run(name).is_locked():
        stop_elsewhere(lab.run(name))
        return None
    raise UsageError(f"run {name!r} is not being trained, so there is nothing to stop")


@router.post("/runs/{name}/resume")
def resume(lab: TheLab, name: str) -> Job:
    """Go on with a run that was stopped or failed, from its last checkpoint."""
    run = lab.run(name)
    if is_waiting(lab, name) or run.is_locked():
        raise UsageError(f"run {name!r} is being trained or waits for its turn already")
    if run.status() == "finished":
        raise UsageError(f"run {name!r} is finished; branch from a checkpoint to go on with other settings")
    return lab.jobs.submit(["train", str(run.path)], "train", name)


@router.post("/runs/{name}/branch/check")
def check_branch(lab: TheLab, name: str, filled: FilledBranch) -> Check:
    """Say what is wrong with a branch, before anything starts."""
    said, errors, new_name = checked_branch(lab, name, filled)
    words = branch_words(lab, name, filled.step, said)
    return Check(
        errors=errors,
        command=shlex.join(["cutaway", *with_name(words, filled.name)]),
        name=new_name,
        parameters=about_size(said.recipe),
        estimate=about_cost(lab, said.recipe),
    )


@router.post("/runs/{name}/branch")
def branch(lab: TheLab, name: str, filled: FilledBranch) -> Job:
    """Start a new run with a checkpoint of this one, with some settings changed."""
    said, errors, new_name = checked_branch(lab, name, filled)
    refuse_first(errors)
    return lab.jobs.submit(with_name(branch_words(lab, name, filled.step, said), new_name), "train", new_name)


def checked_branch(lab: TheLab, name: str, filled: FilledBranch) -> tuple[Filled, dict[str, str], str]:
    """Return what a branch's form says, what is wrong with it, and what its run will be called."""
    parent = lab.run(name)
    base = branch_recipe(parent, filled.step, lab.home)
    said = fill(base, filled.values)
    errors = dict(said.errors)
    try:
        find_branch(said.recipe, lab.home)
    except RunError as error:
        errors["step"] = str(error)
    except CutawayError as error:
        errors.setdefault(culprit(str(error), said.changed), str(error))
    return said, errors | name_error(lab, filled.name), filled.name or free_name(lab, said.recipe.name)


def branch_words(lab: TheLab, name: str, step: int, said: Filled) -> list[str]:
    """Return the command of a branch, behind `cutaway`."""
    return ["train", str(lab.run(name).path), "--from-step", str(step), *said.words]


def with_name(words: list[str], name: str) -> list[str]:
    """Return a training command that names its run."""
    return [*words[:2], "--name", name, *words[2:]] if name else words
