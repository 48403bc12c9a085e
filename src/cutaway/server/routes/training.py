"""What the training screen asks: runs (`runs.py`), how they are going (`progress.py`), and the form to start one
(`start.py`)."""

from __future__ import annotations

from fastapi import APIRouter

from cutaway.server.routes import progress, runs, start

router = APIRouter()
for part in (start, runs, progress):
    router.include_router(part.router)
