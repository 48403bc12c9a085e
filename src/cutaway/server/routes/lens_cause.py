"""Why a model says what it says. A file for each question."""

from __future__ import annotations

from fastapi import APIRouter

from cutaway.server.routes import lens_ablate, lens_layers, lens_patch, lens_why

router = APIRouter()
for part in (lens_why, lens_layers, lens_ablate, lens_patch):
    router.include_router(part.router)
