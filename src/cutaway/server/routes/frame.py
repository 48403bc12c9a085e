"""What every screen needs to know."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway import __version__
from cutaway.server.lab import TheLab

router = APIRouter()


class About(BaseModel):
    """What this lab is."""

    version: str
    home: str
    """The folder of runs."""


@router.get("/about")
def about(lab: TheLab) -> About:
    """Return what this lab is."""
    return About(version=__version__, home=str(lab.home))
