"""Runs: all of them, one of them, several side by side, and away with one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from cutaway import run_facts
from cutaway.base.columns import JsonColumns
from cutaway.base.errors import CutawayError, UsageError
from cutaway.base.runs import RunFolder, list_runs
from cutaway.branch import is_free
from cutaway.form import FormGroup, as_text, dashed, describe_settings, form
from cutaway.run_facts import RunFacts
from cutaway.server.lab import TheLab

router = APIRouter()

KILLED = "the process ended without a word"
"""What the queue says of such a job: no more than the run's folder does."""


class Runs(BaseModel):
    """All runs, newest first."""

    folder: str
    runs: list[RunFacts]


class RunDetails(BaseModel):
    """One run."""

    facts: RunFacts
    recipe: str
    """The recipe as its file says it: TOML with a comment above every setting."""
    groups: list[FormGroup]
    """The recipe's settings with their meaning; empty when the recipe cannot be read."""
    changeable: list[str]
    """The settings that may change in a branch."""
    validation_targets: int | None
    """Held-out tokens on which the final loss was measured; None before the end."""


class Removed(BaseModel):
    """What was deleted."""

    name: str


class Difference(BaseModel):
    """One setting in which runs differ."""

    path: str
    label: str
    doc: str
    values: list[str | None]
    """Of each run, as text; None: not set, or the run's model has no such setting."""


class Comparison(BaseModel):
    """Several runs side by side, in the order asked for."""

    runs: list[RunFacts]
    differences: list[Difference]


def columns_of(lab: TheLab, run: RunFolder) -> JsonColumns:
    """Return what a run has measured so far."""
    return lab.columns.get(run.path / "metrics.jsonl")


def is_waiting(lab: TheLab, name: str) -> bool:
    """Whether a job that trains a run runs or waits for its turn."""
    return any(job.kind == "train" and job.state in ("queued", "running") for job in lab.jobs.of(name))


def facts_of(lab: TheLab, run: RunFolder) -> RunFacts:
    """Return the facts of a run."""
    found = run_facts.facts(run, columns_of(lab, run))
    if found.status != "stopped" or found.reason is None:
        return found
    ends = [job for job in lab.jobs.of(run.name) if job.kind == "train"][:1]
    told = next((job.reason for job in ends if job.state == "failed" and not job.reason.startswith(KILLED)), None)
    return run_facts.facts(run, columns_of(lab, run), told)


@router.get("/runs")
def runs(lab: TheLab) -> Runs:
    """Return all runs, newest first."""
    known = []
    for run in reversed(list_runs(lab.home)):
        try:
            known.append(facts_of(lab, lab.run(run.name)))
        except (OSError, CutawayError):
            continue  # deleted while we looked, or a link out of the folder
    return Runs(folder=str(lab.home), runs=known)


@router.get("/compare")
def compare(lab: TheLab, runs: Annotated[str, Query(description="Names, separated by commas.")]) -> Comparison:
    """Return the facts of several runs and the differences of their recipes."""
    names = list(dict.fromkeys(name for name in runs.split(",") if name))
    if not names:
        raise UsageError("no run is named; expected runs=NAME,NAME")
    chosen = [lab.run(name) for name in names]
    settings = describe_settings()
    found = []
    for place, values in run_facts.differences(chosen).items():
        label, doc = settings.get(place, (place, ""))
        texts = [None if value is None else as_text(value) for value in values]
        found.append(Difference(path=dashed(place), label=label, doc=doc, values=texts))
    return Comparison(runs=[facts_of(lab, run) for run in chosen], differences=found)


@router.get("/runs/{name}")
def run(lab: TheLab, name: str) -> RunDetails:
    """Return one run: its facts and its recipe."""
    found = lab.run(name)
    try:
        groups = form(run_facts.read_recipe(found))
    except CutawayError:
        groups = []
    paths = [setting.path for group in groups for setting in group.fields]
    changeable = [path for path in paths if is_free(path.replace("-", "_"))]
    targets = (found.summary() or {}).get("validation_targets")
    text = found.recipe_file.read_text(encoding="utf-8", errors="replace")
    return RunDetails(
        facts=facts_of(lab, found), recipe=text, groups=groups, changeable=changeable, validation_targets=targets
    )


@router.delete("/runs/{name}")
def delete(lab: TheLab, name: str) -> Removed:
    """Delete a run and everything in it; one that trains is not deleted."""
    run = lab.run(name)
    if run.is_locked() or is_waiting(lab, name):
        raise UsageError(f"run {name!r} is being trained; stop it first; nothing was deleted")
    run.remove()
    return Removed(name=name)
