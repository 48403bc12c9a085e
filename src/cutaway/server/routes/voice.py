"""What the voice screen asks: its frame here, each tab in a file of its own."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fastapi import APIRouter, Request
from pydantic import BaseModel

from cutaway.base.runs import RunFolder, list_runs
from cutaway.server.lab import TheLab
from cutaway.server.model_places import FOLDER
from cutaway.server.routes import voice_canaries, voice_compare, voice_pairs, voice_ratings, voice_tune, voice_writing
from cutaway.server.voice_folders import Writing, describe, find_writings

router = APIRouter()
for part in (voice_writing, voice_pairs, voice_tune, voice_compare, voice_canaries, voice_ratings):
    router.include_router(part.router)


class TunedRun(BaseModel):
    """A run that began from a model and learned somebody's writing."""

    name: str
    base: str
    """The model it began from."""
    method: str
    """`lora`, `full` or `lora4`."""
    writing: str
    """The folder of its pairs."""
    status: str
    """`running`, `finished`, `failed` or `stopped`."""


class VoiceFrame(BaseModel):
    """What all tabs of the voice screen choose from."""

    writings: list[Writing]
    """Those that changed last first."""
    runs: list[TunedRun]
    """Newest first."""
    home: str
    is_local: bool
    """Whether only this machine reaches the lab, so that a path on it may be named."""


@router.get("/voice")
def voice(lab: TheLab, request: Request) -> VoiceFrame:
    """Return the writing folders and the tuned runs there are."""
    return VoiceFrame(
        writings=[describe(lab.home, folder) for folder in find_writings(lab.home)],
        runs=[found for run in reversed(list_runs(lab.home)) if (found := tuned_run(run))],
        home=str(lab.home.absolute()),
        is_local=request.app.state.access.is_local,
    )


def as_the_lab_says(base: str, home: Path) -> str:
    """Return a base by the lab's own name where it is one of its models: `models/gpt2`, not the path."""
    folder = Path(base)
    is_ours = folder.is_absolute() and folder.parent.resolve() == (home / FOLDER).resolve()
    return f"{FOLDER}/{folder.name}" if is_ours else base


def tuned_run(run: RunFolder) -> TunedRun | None:
    """Return what a run was tuned from; None where it was trained from nothing."""
    try:
        recipe = tomllib.loads(run.recipe_file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return None
    tune = recipe.get("tune")
    if not isinstance(tune, dict):
        return None
    source = str(recipe.get("data", {}).get("source", ""))
    return TunedRun(
        name=run.name,
        base=as_the_lab_says(str(tune.get("base", "")), run.path.parent),
        method=str(tune.get("method", "lora")),
        writing=source.rpartition("/")[0],
        status=run.status(),
    )
