"""The models the Compare tab may stand side by side, and their answers, without opening any of them.

A client names a run, a model of the lab (`models/gpt2`), or the base of a tuned run as its recipe has it; nothing else.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.base.errors import CutawayError, UsageError
from cutaway.base.runs import list_runs
from cutaway.server.lab import Lab
from cutaway.server.model_places import find_place

if TYPE_CHECKING:
    from cutaway.voice.canaries import Canaries
    from cutaway.voice.compare import Side


@dataclass(frozen=True)
class Named:
    """A model by the name a client uses, and how a command says it."""

    name: str
    word: str
    run: Path | None
    """The run's folder, if it is one."""


def find_named(lab: Lab, name: str) -> Named:
    """Return a model by its name.

    Raises:
        UsageError: it is neither a run, a model of the lab, nor the base of a tuned run.
    """
    if (lab.home / name / "recipe.toml").is_file():
        return Named(name, name, lab.run(name).path)
    try:
        place = find_place(name, lab.home, lab.models.given)
    except CutawayError as error:
        if name in bases(lab):
            return Named(name, name, None)
        raise UsageError(str(error)) from error
    if place.run is not None:
        raise UsageError(f"{name!r} is a checkpoint; compare takes runs and model folders")
    return Named(name, str(place.folder.resolve()), None)


def bases(lab: Lab) -> set[str]:
    """Return the models that tuned runs began with, as their recipes name them."""
    from cutaway.server.routes.voice import tuned_run

    found = (tuned_run(run) for run in list_runs(lab.home))
    return {one.base for one in found if one and one.base}


def sides_of(lab: Lab, names: list[str], writing: Path, canaries: Canaries) -> list[Side]:
    """Return what each model answered, by the names the client uses."""
    from cutaway.voice.compare import side_of

    found = []
    for name in names:
        named = find_named(lab, name)
        found.append(dataclasses.replace(side_of(named.word, canaries, writing, named.run), name=name))
    return found
