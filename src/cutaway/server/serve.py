"""One lab on one folder: find a port, hold the folder, say where it is, serve until Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import uvicorn

from cutaway.base.errors import CutawayError, UsageError
from cutaway.server.address import is_loopback, shown_host
from cutaway.server.app import APP_FILES, NOT_BUILT, create_app
from cutaway.server.job_store import LOGS
from cutaway.server.lab import Lab
from cutaway.server.model_places import named_folders
from cutaway.server.safety import Access, protected
from cutaway.server.sessions import Sessions

LOCK_FILE = ".lab.lock"
PORTS_TO_TRY = 20


class SecondLabError(CutawayError):
    """Another lab has this folder.

    Attributes:
        address: where it is.
    """

    def __init__(self, message: str, address: str) -> None:
        super().__init__(message)
        self.address = address


@dataclass(frozen=True)
class Place:
    """Where a lab listens and what it shows."""

    home: Path
    host: str
    port: int
    names: tuple[str, ...] = ()
    password: str = ""
    models: tuple[Path, ...] = ()
    """Model folders elsewhere."""
    offered: tuple[str, ...] = ()
    """Only answers visitors: the models they may ask. Empty: the whole lab."""


def serve(place: Place, say: Callable[[str], None], when_ready: Callable[[str], None]) -> Lab:
    """Serve until Ctrl-C and return the lab as it was then.

    Args:
        say: hears a line about what is done otherwise than expected.
        when_ready: is called with the address when the lab answers.

    Raises:
        UsageError: the folder or the address cannot be used.
        SecondLabError: a lab runs on this folder already.
    """
    check_home(place.home)
    named_folders(place.home, place.models)
    if not is_loopback(place.host) and not place.password and not place.offered:
        raise UsageError(f"a lab at {place.host} can be reached by other machines and needs a password")
    holding = contextlib.nullcontext() if place.offered else held(place.home)  # visitors change nothing in the folder
    with holding as lock, listening(place, say) as listener:
        port = listener.getsockname()[1]
        address = f"http://{shown_host(place.host)}:{port}"
        if lock:
            write_lock(lock, address)
        if not (APP_FILES / "index.html").is_file():
            say(NOT_BUILT)
        sessions = (
            Sessions(place.password, f"cutaway_{port}", place.home / LOGS / "sessions.json") if place.password else None
        )
        names = frozenset(name.lower() for name in place.names)
        access = Access(sessions, is_loopback(place.host), names, is_guest=bool(place.offered))
        lab = Lab(place.home, begins_itself=True, given_models=place.models, offered=place.offered or None)
        app = protected(create_app(lab, access), access)
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=1, ws="none", server_header=False, date_header=False
        )
        server = _Server(config, lab)
        threading.Thread(target=_tell_when_ready, args=(server, when_ready, address), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn passes the Ctrl-C on when it has ended
            server.run(sockets=[listener])
    return lab


class _Server(uvicorn.Server):
    """Ends at once: the streams of events, which would go on for ever, are closed first."""

    def __init__(self, config: uvicorn.Config, lab: Lab) -> None:
        super().__init__(config)
        self.lab = lab

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        self.lab.events.close()
        self.lab.streams.close()
        super().handle_exit(sig, frame)


def _tell_when_ready(server: uvicorn.Server, when_ready: Callable[[str], None], address: str) -> None:
    while not server.started:
        if server.should_exit:
            return
        time.sleep(0.01)
    when_ready(address)


def check_home(home: Path) -> None:
    """Make the folder of runs if it is not there yet.

    Raises:
        UsageError: it is no folder, or nothing can be written into it.
    """
    if home.exists() and not home.is_dir():
        raise UsageError(f"{home} is a file; expected the folder that holds the runs")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {home} cannot be made: {error.strerror}") from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise UsageError(f"nothing can be written into {home}; the lab keeps its runs there, so give another folder")


@contextmanager
def held(home: Path) -> Iterator[IO[str]]:
    """Hold the folder, so that there is one lab on it; the operating system lets go when the process ends.

    Raises:
        SecondLabError: another lab holds it.
    """
    with (home / LOCK_FILE).open("a+", encoding="utf-8") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # not on Windows
            pass
        except BlockingIOError:
            address = _read_lock(lock)
            where = f"at {address}" if address else "and is just starting"
            raise SecondLabError(f"a lab runs on {home} already, {where}", address) from None
        except OSError:  # a network's file system may not know locks
            pass
        yield lock


def write_lock(lock: IO[str], address: str) -> None:
    """Write where the lab is into the lock it holds."""
    lock.seek(0)
    lock.truncate()
    lock.write(json.dumps({"address": address, "process": os.getpid()}))
    lock.flush()


def _read_lock(lock: IO[str]) -> str:
    lock.seek(0)
    try:
        return str(json.loads(lock.read())["address"])
    except (ValueError, KeyError):
        return ""


@contextmanager
def listening(place: Place, say: Callable[[str], None]) -> Iterator[socket.socket]:
    """Listen at the wanted port, or at the next free one.

    Raises:
        UsageError: there is no such address here, or no free port near.
    """
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    host = place.host.strip("[]")
    for port in range(place.port, place.port + PORTS_TO_TRY) if place.port else [0]:
        try:
            listener = socket.create_server((host, port), family=family, backlog=128)
            # or the body of an answer waits 40 ms until its head is acknowledged; connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OverflowError:
            raise UsageError(f"--port {place.port}; expected a number from 0 to 65535") from None
        except PermissionError:
            raise UsageError(f"port {port} is not for ordinary users; take one above 1023") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise UsageError(f"cannot listen at {place.host}, which must be an address of this machine") from None
        if port != place.port:
            say(f"port {place.port} is in use; taking {port}")
        with listener:
            yield listener
        return
    raise UsageError(f"the ports {place.port} to {port} are all in use; give a free one with --port (0: any)")
