"""`cutaway lab`, and `cutaway` alone: the lab in the browser."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cutaway.base.errors import UsageError
from cutaway.base.runs import runs_folder
from cutaway.cli.console import answer, answer_json, parse, screen

EXAMPLE = "cutaway lab --port 9000 --no-open"
PASSWORD = "CUTAWAY_PASSWORD"


@dataclass(frozen=True)
class LabArguments:
    """Open the lab in the browser: playground, training, microscope."""

    folder: Annotated[str, tyro.conf.Positional] = ""
    """The folder that holds the runs; left out: $CUTAWAY_RUNS, else `runs`."""
    port: int = 8765
    """Where to listen; if it is in use, the next free one. 0: any."""
    host: str = "127.0.0.1"
    """The address to listen at. Any but this machine's own needs a password, and is not encrypted."""
    names: tuple[str, ...] = ()
    """Names the lab is reached by besides this machine's, such as lab.school.org."""
    password_file: str = ""
    """A file whose first line is the lab's password; also taken from $CUTAWAY_PASSWORD, else asked for."""
    model: tuple[str, ...] = ()
    """Model folders elsewhere (Hugging Face layout) to write with and to ask."""
    no_open: bool = False
    """Do not open the browser."""
    json: bool = False
    """When it is ready, print one JSON object with the address."""


def main(argv: list[str]) -> int:
    """Serve the lab until Ctrl-C."""
    arguments = parse(LabArguments, argv, "lab", EXAMPLE)
    home = Path(arguments.folder) if arguments.folder else runs_folder()
    if arguments.folder and not home.exists():
        raise UsageError(f"there is no folder {arguments.folder!r} (looked from {Path.cwd()})")

    from cutaway.server.address import is_loopback, open_browser

    is_open = not is_loopback(arguments.host)
    password = find_password(arguments.password_file, is_open)

    from cutaway.server.serve import Place, SecondLabError, serve

    console = screen()
    place = Place(home, arguments.host, arguments.port, arguments.names, password, tuple(map(Path, arguments.model)))

    def when_ready(address: str) -> None:
        if arguments.json:
            answer_json({"address": address, "folder": str(home)})
        else:
            answer(f"Cutaway's lab is at {address}")
        if is_open:
            console.print("others on this network can reach it with the password; nothing is encrypted", style="dim")
        console.print("Ctrl-C ends it; a training that runs goes on", style="dim")
        if not arguments.no_open:
            open_browser(address)

    try:
        lab = serve(place, lambda line: console.print(line, markup=False), when_ready)
    except SecondLabError as error:
        if error.address and not arguments.no_open:
            open_browser(error.address)
        raise
    going_on = [job.target for job in lab.jobs.list() if job.state == "running"]
    if going_on:
        console.print(
            f"\n{' and '.join(going_on)} goes on in the background; "
            f"`cutaway lab` opens it again, `cutaway runs` lists it"
        )
    return 0


def find_password(file: str, is_needed: bool) -> str:
    """Return the password given in a file, in the environment or, where one is needed, at the terminal.

    Raises:
        UsageError: one is needed and there is none.
    """
    if file:
        try:
            password = Path(file).read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the password file {file!r} cannot be read: {error}") from None
        if not password:
            raise UsageError(f"the password file {file!r} is empty; expected the password in its first line")
        return password
    if password := os.environ.get(PASSWORD, ""):
        return password
    if not is_needed:
        return ""
    if not sys.stdin.isatty():
        raise UsageError(
            f"a lab that other machines can reach needs a password: give it with --password-file or in ${PASSWORD}"
        )
    import getpass

    password = getpass.getpass("A password for this lab: ")
    if password != getpass.getpass("Once more: "):
        raise UsageError("the two were different; nothing was started")
    return password
