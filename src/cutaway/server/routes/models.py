"""Which models there are to write with and to ask."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.server.lab import TheLab
from cutaway.server.model_places import ModelFacts

router = APIRouter()


class Models(BaseModel):
    """All models of a lab: runs and their checkpoints, newest first, then folders."""

    models: list[ModelFacts]


@router.get("/models")
def models(lab: TheLab) -> Models:
    """Return all models: runs and their checkpoints, newest first, then folders."""
    return Models(models=lab.models.list())


@router.get("/models/{name:path}")
def model(lab: TheLab, name: str) -> ModelFacts:
    """Return the facts of one model."""
    return lab.models.facts(name)
