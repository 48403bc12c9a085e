"""What every screen needs: what this lab is, its jobs, and what changes."""

from __future__ import annotations

import importlib
import threading

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from cutaway import __version__
from cutaway.server.jobs import Job
from cutaway.server.lab import TheLab
from cutaway.server.tails import RunNow

router = APIRouter()


class About(BaseModel):
    """What this lab is."""

    version: str
    home: str
    """The folder of runs."""


class Log(BaseModel):
    """The end of what a job said."""

    text: str


class Done(BaseModel):
    """It was done."""

    done: bool = True


@router.get("/about")
def about(lab: TheLab) -> About:
    """Return what this lab is."""
    return About(version=__version__, home=str(lab.home))


@router.post("/warm")
def warm() -> None:
    """Get ready for a model or a trace: who looks at a list will soon open one, and PyTorch takes seconds to load."""
    threading.Thread(target=_get_ready, name="warm", daemon=True).start()


def _get_ready() -> None:
    for module in ("microscope.trace", "workbench", "lens"):
        importlib.import_module(f"cutaway.{module}")


@router.get("/jobs")
def jobs(lab: TheLab) -> list[Job]:
    """Return the queue, newest first."""
    return list(lab.jobs.list())


@router.get("/jobs/{number}")
def job(lab: TheLab, number: int) -> Job:
    """Return one job."""
    return lab.jobs.get(number)


@router.get("/jobs/{number}/log")
def job_log(lab: TheLab, number: int) -> Log:
    """Return the end of what a job said."""
    return Log(text=lab.jobs.log(number))


@router.post("/jobs/{number}/stop")
def stop_job(lab: TheLab, number: int) -> Job:
    """Ask a job to end."""
    return lab.jobs.stop(number)


@router.delete("/jobs/{number}")
def delete_job(lab: TheLab, number: int) -> Done:
    """Forget a job that has ended."""
    lab.jobs.delete(number)
    return Done()


@router.get("/events", response_class=StreamingResponse)
async def events(lab: TheLab) -> StreamingResponse:
    """Tell what changes, as it changes (server-sent events)."""
    return StreamingResponse(lab.events.stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get("/events/{name}")
def run_now(lab: TheLab, name: str) -> RunNow:
    """Return how far a run is: what a page that was away compares with what it has."""
    return lab.events.now(lab.run(name))
