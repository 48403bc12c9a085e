"""What the home screen asks: the curves of all runs in small, and the run that begins by itself."""

from __future__ import annotations

import math

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.base.errors import CutawayError
from cutaway.base.runs import list_runs
from cutaway.server.jobs import Job, JobError
from cutaway.server.lab import Lab, TheLab
from cutaway.server.routes.runs import columns_of
from cutaway.server.routes.start import free_name

router = APIRouter(prefix="/home")

CURVE_POINTS = 60
FIRST_RUN_MARK = "first run"


class Home(BaseModel):
    """What the home screen shows besides the runs' facts."""

    curves: dict[str, list[float | None]]
    """The loss of each run, from its first step to its last, in a few points."""
    begins_itself: bool
    """Whether this folder has seen no run yet, so that the page should ask for the first."""
    first_run: str
    """The command of that run."""


@router.get("")
def home(lab: TheLab) -> Home:
    """Return what the home screen shows."""
    curves = {}
    for run in list_runs(lab.home):
        try:
            loss = columns_of(lab, lab.run(run.name)).dense("loss")
        except (CutawayError, OSError):
            continue  # deleted meanwhile
        curves[run.name] = in_few_points(loss)
    command = " ".join(["cutaway", *lab.first_run])
    return Home(curves=curves, begins_itself=lab.begins_itself and is_untouched(lab), first_run=command)


@router.post("/first-run")
def first_run(lab: TheLab, again: bool = False) -> Job:
    """Train the model for two minutes that one meets first. Unless asked for again, once in a folder."""
    if not again and not is_untouched(lab):
        raise JobError("there was a run in this folder before; the first one begins by itself only once")
    name = free_name(lab, lab.first_run[1])
    words = [*lab.first_run[:2], "--name", name, *lab.first_run[2:]]
    return lab.jobs.submit(words, "train", name, only_once="" if again else FIRST_RUN_MARK)


def is_untouched(lab: Lab) -> bool:
    """Whether the folder has no run, no job, and had no first run before."""
    return not lab.jobs.was_done(FIRST_RUN_MARK) and not lab.jobs.list() and not list_runs(lab.home)


def in_few_points(values: np.ndarray) -> list[float | None]:
    """Return a curve as the means of equal parts of it; None where nothing was measured."""
    parts = np.array_split(values, min(CURVE_POINTS, len(values))) if len(values) else []
    means = [float(part[np.isfinite(part)].mean()) if np.isfinite(part).any() else math.nan for part in parts]
    return [None if math.isnan(mean) else mean for mean in means]
