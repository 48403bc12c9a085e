"""The server that tests and measurements open a browser on."""

from __future__ import annotations

import gc
import http.client
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi import Response

from cutaway.bench.browser import serving
from cutaway.server.app import create_app
from cutaway.server.lab import Lab


def open_sockets() -> set[int]:
    gc.collect()
    found = [one for one in gc.get_objects() if issubclass(type(one), socket.socket)]
    return {one.fileno() for one in found if one.family == socket.AF_INET} - {-1}


@pytest.mark.slow
def test_no_connection_outlives_the_server(tmp_path: Path) -> None:
    """An answer that nobody reads to its end: its socket, left open, failed some later test."""
    before = open_sockets()
    app = create_app(Lab(tmp_path))

    @app.get("/api/long")
    def long() -> Response:
        return Response(b"x" * 100_000_000)

    app.router.routes.insert(0, app.router.routes.pop())  # before the page that answers all else
    with serving(app) as address:
        asking = http.client.HTTPConnection(urlsplit(address).netloc)
        asking.request("GET", "/api/long")
        assert asking.getresponse().status == 200
        asked = asking.sock.fileno()
    assert open_sockets() - before == {asked}
    asking.close()
