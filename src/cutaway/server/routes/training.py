"""What the training screen asks: the form to start a run (`start.py`, `uploads.py`), runs (`runs.py`), how they are going
(`progress.py`), and to stop, go on and branch (`going_on.py`)."""

from __future__ import annotations

from fastapi import APIRouter

from cutaway.server.routes import going_on, progress, runs, start, uploads

router = APIRouter()
for part in (start, uploads, runs, progress, going_on):
    router.include_router(part.router)
