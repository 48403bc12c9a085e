"""The list of traces: what there is, record another, delete one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import RunFolder
from cutaway.server.jobs import Job
from cutaway.server.lab import TheLab
from cutaway.server.routes.microscope_common import Number, perhaps

router = APIRouter()
MOST_TEXT = 20_000


class TraceFacts(BaseModel):
    """A trace, as a line of a list."""

    name: str
    """Its path inside the lab's folder: what `trace=` takes."""
    run: str
    """The run it is of; empty for a trace that was copied here."""
    model: str
    text: str
    tokens: list[str]
    """The text as the model reads it."""
    checkpoint: int | None
    """The step of the checkpoint it was recorded from; null for the best weights, or where nobody said."""
    recorded: float
    """When, in seconds since 1970."""
    size_bytes: int
    operations: dict[str, int]
    """How many in each phase."""
    addresses: int
    loss: Number | None
    """null: it has none."""
    failure: str
    """What the recorded program failed with; empty if it did not."""
    problem: str
    """Why the trace cannot be opened; empty if it can."""


@router.get("/traces")
def traces(lab: TheLab, run: str = "") -> list[TraceFacts]:
    """Return all traces of the lab, or of one run, the newest first."""
    names = [name for name in lab.traces.names() if not run or name.split("/")[0] == run]
    return [trace_facts(name, lab.traces.facts(name)) for name in names]


def trace_facts(name: str, found: dict[str, Any]) -> TraceFacts:
    """Return a trace as a line of a list; notes may be anybody's."""
    notes = found["notes"]
    first, *others = name.split("/")
    checkpoint = notes.get("checkpoint")
    tokens = notes.get("tokens")
    return TraceFacts(
        name=name,
        run=first if others and first != "traces" else "",
        model=os.path.basename(str(notes.get("model", ""))),
        text=str(notes.get("text", "")),
        tokens=[str(one) for one in tokens] if isinstance(tokens, list) else [],
        checkpoint=checkpoint if type(checkpoint) is int else None,
        recorded=found["recorded"],
        size_bytes=found["size_bytes"],
        operations=found["operations"],
        addresses=found["addresses"],
        loss=perhaps(found["loss"]),
        failure=found["failure"],
        problem=found["problem"],
    )


class StepToRecord(BaseModel):
    """Which step of which model to record."""

    model_config = ConfigDict(extra="forbid")
    run: str
    text: str
    """What the model learns from in this step."""
    checkpoint: int | None = None
    """A checkpoint's step: its weights and the run's own optimizers; null: the best weights and a fresh AdamW."""
    forward_only: bool = False
    optimizer: bool = True
    """false: stop after the backward pass."""
    lr: float | None = None
    """Of the fresh AdamW; null: 0.001."""
    seed: int = 0


class RecordedStep(BaseModel):
    """What became of a job that records."""

    state: str
    """Of the job: queued, running, done, failed or stopped."""
    reason: str
    trace: str | None
    """The trace's name, when there is one."""


@router.post("/microscope/record")
def record(lab: TheLab, step: StepToRecord) -> Job:
    """Record a step of a run, as a job; `/api/microscope/recorded` says which trace it made."""
    run = lab.run(step.run)
    if not step.text.strip():
        raise UsageError("there is no text to record a step on; type some")
    if len(step.text) > MOST_TEXT:
        raise UsageError(f"the text has {len(step.text):,} characters; a step takes up to {MOST_TEXT:,}")
    if step.text == "-" or "\0" in step.text:
        raise UsageError("this text cannot be given to a command; take another")
    if step.lr is not None and not 0 < step.lr < float("inf"):
        raise UsageError(f"the learning rate is {step.lr}; expected more than 0")
    steps = checkpoints(run)
    if step.checkpoint is not None and step.checkpoint not in steps:
        there = f"it has {', '.join(map(str, steps))}" if steps else "it has none"
        raise RunError(f"run {run.name!r} has no checkpoint of step {step.checkpoint}; {there}")
    words = ["trace", run.name, f"--text={step.text}", f"--seed={step.seed}"]
    words += ["--forward"] if step.forward_only else [] if step.optimizer else ["--no-optimizer"]
    if step.checkpoint is not None:
        words.append(f"--checkpoint={step.checkpoint}")
    elif step.lr is not None:
        words.append(f"--lr={step.lr!r}")
    return lab.jobs.submit(words, "trace", run.name)


@router.get("/microscope/recorded")
def recorded(lab: TheLab, job: int) -> RecordedStep:
    """Return which trace a job has made."""
    found = lab.jobs.get(job)
    trace = None
    if found.state == "done":
        saved = [
            line.removeprefix("saved").strip() for line in lab.jobs.log(job).splitlines() if line.startswith("saved ")
        ]
        if saved and Path(saved[-1]).is_relative_to(lab.home.absolute()):
            trace = Path(saved[-1]).relative_to(lab.home.absolute()).as_posix()
    return RecordedStep(state=found.state, reason=found.reason, trace=trace)


@router.get("/microscope/checkpoints")
def checkpoint_steps(lab: TheLab, run: str) -> list[int]:
    """Return the steps of the checkpoints a step of a run can be recorded from, earliest first."""
    return checkpoints(lab.run(run))


def checkpoints(run: RunFolder) -> list[int]:
    """Return the steps of a run's checkpoints, earliest first."""
    folder = run.checkpoints_folder
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal()) if folder.is_dir() else []


@router.delete("/traces/{name:path}")
def delete_trace(lab: TheLab, name: str) -> None:
    """Delete a trace."""
    lab.traces.delete(name)
