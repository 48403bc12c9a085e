"""What the microscope screen asks, put together; each part has its own file."""

from __future__ import annotations

from fastapi import APIRouter

from cutaway.server.routes import (
    microscope_checks,
    microscope_numbers,
    microscope_overview,
    microscope_tensors,
    microscope_traces,
)

router = APIRouter()
for part in (microscope_traces, microscope_overview, microscope_tensors, microscope_numbers, microscope_checks):
    router.include_router(part.router)
