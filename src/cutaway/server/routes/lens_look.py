"""Where a model looks, what surprises it, and whether it repeats what it saw: the questions that only read."""

from __future__ import annotations

from fastapi import APIRouter

from cutaway.server.routes import lens_attention, lens_induction, lens_surprise

router = APIRouter()
for _part in (lens_attention, lens_surprise, lens_induction):
    router.include_router(_part.router)
