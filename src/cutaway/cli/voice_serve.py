"""`cutaway voice serve MODEL ...`: a page on which other people ask one's models, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cutaway.base.errors import UsageError
from cutaway.base.runs import runs_folder
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.cli.lab import find_password

EXAMPLE = "cutaway voice serve mine base --host 0.0.0.0"


@dataclass(frozen=True)
class ServeArguments:
    """Let other people ask your models: a page with questions and answers, and a line in which everybody waits in turn.

    Visitors see nothing of your runs and writing. What they say is not kept. The models answer programs at /v1 too.
    """

    models: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Runs (NAME or NAME@STEP) or model folders; the first is asked unless another is chosen."""
    port: int = 8770
    """Where to listen; if it is in use, the next free one. 0: any."""
    host: str = "127.0.0.1"
    """The address to listen at: 0.0.0.0 lets the whole network in; nothing is encrypted."""
    names: tuple[str, ...] = ()
    """Names it is reached by besides this machine's, such as ask.school.org."""
    password_file: str = ""
    """A file whose first line is the password visitors must give; also taken from $CUTAWAY_PASSWORD. Left out: none."""
    no_open: bool = False
    """Do not open the browser."""
    json: bool = False
    """When it is ready, print one JSON object with the address."""


def serve_(argv: list[str]) -> None:
    """`cutaway voice serve MODEL ...`."""
    asked = parse(ServeArguments, argv, "voice serve", EXAMPLE)
    if not asked.models:
        raise UsageError("which model visitors may ask is not said; give a run or a model folder")
    from cutaway.server.address import is_loopback, open_browser
    from cutaway.server.models import OpenModels
    from cutaway.server.serve import Place, serve

    home = runs_folder()
    folders = tuple(Path(name) for name in asked.models if not (home / name).exists() and Path(name).is_dir())
    models = OpenModels(home, folders)
    given = {path.resolve(): name for name, path in models.given.items()}
    offered = tuple(given.get(Path(name).resolve(), name) for name in asked.models)
    for name in offered:
        if problem := models.facts(name).problem:
            raise UsageError(problem)
    password = find_password(asked.password_file, is_needed=False)
    console = screen()

    def when_ready(address: str) -> None:
        if asked.json:
            answer_json({"address": address, "models": list(offered)})
        else:
            answer(f"{' and '.join(offered)} can be asked at {address}")
        if not is_loopback(asked.host):
            who = "with the password" if password else "who reaches this address"
            console.print(f"everybody {who} can ask; nothing is encrypted", style="dim")
        console.print("Ctrl-C ends it", style="dim")
        if not asked.no_open:
            open_browser(address)

    place = Place(home, asked.host, asked.port, asked.names, password, folders, offered)
    serve(place, lambda line: console.print(line, markup=False), when_ready)
