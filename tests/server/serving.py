"""A lab on a real socket, in a thread of the test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from cutaway.bench.browser import Server
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.safety import Access, protected


def wait_until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.002)


@contextmanager
def serving_app(app: FastAPI, access: Access | None = None) -> Iterator[int]:
    """Serve an application behind all checks, as the lab does; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        checked = protected(app, access or Access())
        server = Server(uvicorn.Config(checked, log_level="error", ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serving_lab(lab: Lab, access: Access | None = None) -> Iterator[int]:
    """Serve a lab."""
    with serving_app(create_app(lab, access), access) as port:
        yield port
