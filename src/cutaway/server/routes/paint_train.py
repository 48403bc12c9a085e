"""The way from noise to a picture of a sentence, phase by phase: what is trained, what comes next, and starting it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from cutaway.base.runs import RunFolder
from cutaway.diffusion.config import PicturesConfig
from cutaway.presets_paint import PHASES, Phase, find_phase, missing_of, runs_of, standing
from cutaway.server.jobs import Job
from cutaway.server.lab import Lab, TheLab
from cutaway.server.routes.start import free_name

router = APIRouter()

SOURCE = PicturesConfig().source


class PhaseRun(BaseModel):
    """A run of a phase."""

    name: str
    status: str
    pictures: list[int]
    """Steps after which it painted the same eight seeds, earliest first."""


class PaintPhase(BaseModel):
    """One phase."""

    name: str
    number: int
    summary: str
    minutes: float | None
    """How long it trains, as its recipe has it."""
    paints: bool
    """false: it makes a part that later phases stand on."""
    missing: list[str]
    """Phases that have to be trained before this one."""
    runs: list[PhaseRun]
    """The newest first."""


class PaintPhases(BaseModel):
    """All phases, in order."""

    phases: list[PaintPhase]


class PhaseToTrain(BaseModel):
    """A phase that is to be trained."""

    model_config = ConfigDict(extra="forbid")
    phase: str
    minutes: float | None = Field(default=None, gt=0, le=24 * 60)
    """null: as its recipe has it."""


@router.get("/phases")
def phases(lab: TheLab) -> PaintPhases:
    """Return all phases and their runs."""
    return PaintPhases(phases=[told(lab, phase) for phase in PHASES.values()])


@router.post("/train")
def train(lab: TheLab, asked: PhaseToTrain) -> Job:
    """Train a phase, as a job: the command a person would type."""
    phase = find_phase(asked.phase)
    recipe = standing(phase, SOURCE, lab.home)
    name = free_name(lab, recipe.name)
    words = ["paint", "train", phase.name, "--name", name]
    if asked.minutes is not None:
        words += ["--minutes", f"{asked.minutes:g}"]
    return lab.jobs.submit(words, "train", name)


def told(lab: Lab, phase: Phase) -> PaintPhase:
    """Return what there is to say about a phase."""
    recipe = phase.make(SOURCE)
    return PaintPhase(
        name=phase.name,
        number=phase.number,
        summary=phase.summary,
        minutes=recipe.train.minutes,
        paints=recipe.paints,
        missing=missing_of(phase, SOURCE, lab.home),
        runs=[told_run(run) for run in reversed(runs_of(phase.name, SOURCE, lab.home))],
    )


def told_run(run: RunFolder) -> PhaseRun:
    """Return what there is to say about a run of a phase."""
    files = run.pictures_folder.glob("*.png") if run.pictures_folder.is_dir() else ()
    steps = sorted(int(file.stem) for file in files if file.stem.isdecimal())
    return PhaseRun(name=run.name, status=run.status(), pictures=steps)
