"""What the server knows: the folder of runs it looks at, and what is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from cutaway.base.columns import ColumnCache
from cutaway.base.errors import RunError
from cutaway.base.files import check_name
from cutaway.base.runs import RunFolder, open_run
from cutaway.server.events import Events
from cutaway.server.jobs import Jobs
from cutaway.server.kept import Kept
from cutaway.server.models import OpenModels
from cutaway.server.painters import OpenPainters
from cutaway.server.playgrounds import Playgrounds
from cutaway.server.streams import Streams
from cutaway.server.traces import OpenTraces

KEPT_BYTES = 512 << 20
"""Most memory for answers of models that are asked for in parts."""


@dataclass
class Lab:
    """One lab: one folder of runs."""

    home: Path
    """The folder that holds the runs; nothing outside it is ever read for, or written by, a client."""
    first_run: Sequence[str] = ("train", "stdlib")
    """The command behind `cutaway` that the home screen runs where nothing was trained yet."""
    begins_itself: bool = False
    """Whether it does so without being asked."""
    given_models: Sequence[Path] = ()
    """Model folders elsewhere on this machine, as whoever started the lab named them."""

    offered: Sequence[str] | None = None
    """Where the lab only answers visitors: the models they may ask."""

    @cached_property
    def columns(self) -> ColumnCache:
        """What the runs have measured, as far as it was read."""
        return ColumnCache()

    @cached_property
    def traces(self) -> OpenTraces:
        """The traces in that folder, and those that are open."""
        return OpenTraces(self.home)

    @cached_property
    def models(self) -> OpenModels:
        """The models to write with and to ask, and those that are open."""
        return OpenModels(self.home, self.given_models)

    @cached_property
    def painters(self) -> OpenPainters:
        """What paints pictures, and those that are open."""
        return OpenPainters(self.home)

    @cached_property
    def streams(self) -> Streams:
        """Texts that are being written for clients."""
        return Streams()

    @cached_property
    def kept(self) -> Kept:
        """What models were asked, for who asks for another part of it."""
        return Kept(KEPT_BYTES)

    @cached_property
    def playgrounds(self) -> Playgrounds:
        """The playgrounds at hand."""
        return Playgrounds()

    @cached_property
    def jobs(self) -> Jobs:
        """Long work, each in a process of its own."""
        return Jobs(self.home)

    @cached_property
    def events(self) -> Events:
        """What changes, told to every page that listens."""
        return Events(self.home, self.jobs)

    def run(self, name: str) -> RunFolder:
        """Return a run of the home folder by its name.

        Raises:
            UsageError: the name cannot be a folder's name.
            RunError: there is no such run.
        """
        path = self.home / check_name(name, "run name")
        if path.is_symlink() or not (path / "recipe.toml").is_file():
            open_run(check_name(name, "run name"), self.home)
            raise RunError(f"run {name!r} is a link out of {self.home}; the lab does not follow it")
        return RunFolder(path)


def _lab(request: Request) -> Lab:
    return request.app.state.lab


TheLab = Annotated[Lab, Depends(_lab)]
"""A route's parameter of this type gets the lab."""
