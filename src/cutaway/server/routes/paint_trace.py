"""One call of a denoiser, every number of it kept, for the microscope to open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from pydantic import BaseModel

from cutaway.base.errors import UsageError
from cutaway.server.lab import Lab, TheLab
from cutaway.server.routes.chat import person
from cutaway.server.routes.paint_asked import GoneError, between_steps
from cutaway.server.routes.paint_look import OnePicture
from cutaway.server.streams import Writer

if TYPE_CHECKING:
    from cutaway.diffusion.sampler import Step

router = APIRouter()

FOLDER = "traces"


class StepToOpen(OnePicture):
    """A step of a picture's way from noise."""

    step: int = 0
    """The call that begins this step, from 0."""


class OpenedStep(BaseModel):
    """A step, recorded."""

    trace: str
    """The trace's name, which the microscope opens."""


@router.post("/trace")
async def trace(lab: TheLab, request: Request, asked: StepToOpen) -> OpenedStep | None:
    """Record the denoiser's call at a step of a picture."""

    def work(writer: Writer) -> OpenedStep | None:
        try:
            return OpenedStep(trace=recorded(lab, asked, writer))
        except GoneError:
            return None

    return await lab.streams.start(work, person(request)).all(request)


def recorded(lab: Lab, asked: StepToOpen, writer: Writer) -> str:
    """Paint as far as the step, record the call there, and return the trace's name.

    Raises:
        UsageError: there is no such step.
    """
    import torch

    from cutaway.diffusion.paint import denoised
    from cutaway.microscope.tracing import trace as record

    opened, config = lab.painters.open(asked.model), asked.settings.config(1)
    if not 0 <= asked.step < config.steps:
        raise UsageError(f"there is no step {asked.step} to open; expected 0 to {config.steps - 1}")
    painter = opened.painter
    with opened.lock:
        told = painter.told([asked.prompt], config.negative)
        x_BCYX, t = painter.noise([config.seed + asked.index]), painter.path.first
        give_way = between_steps(writer, opened)

        def on_step(number: int, step: Step) -> None:
            nonlocal x_BCYX, t
            if number <= asked.step:
                x_BCYX, t = step.x, step.t
            give_way()

        if asked.step:
            denoised(painter, told, x_BCYX, config, on_step=on_step)
        inputs = {"x_BCYX": x_BCYX, "t_B": torch.full((1,), t, dtype=x_BCYX.dtype), "condition": told.condition}
        with torch.no_grad():
            found = record(painter.denoiser, inputs)
    found.notes |= {
        "model": opened.name, "text": asked.prompt, "seed": config.seed + asked.index, "step": asked.step, "t": t,
    }  # fmt: skip
    name = f"paint-{opened.name.replace('/', '-')}-{config.seed + asked.index}-{asked.step}"
    folder, number = lab.home / FOLDER / name, 1
    while folder.exists():
        number += 1
        folder = lab.home / FOLDER / f"{name}-{number}"
    found.save(folder)
    return f"{FOLDER}/{folder.name}"
