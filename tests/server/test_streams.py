"""Pieces of text on their way to a client: at once, in batches, in turn, and not a step more when the client left."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from server.serving import serving_app, wait_until

from cutaway.base.errors import UsageError
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.streams import BATCH_SECONDS, BusyError, Streams, Work, Writer, event
from cutaway.server.turns import Turns


def encode(batch: Any) -> bytes:
    return event(json.dumps(list(batch)))


def works_of(lab: Lab, works: dict[str, Work]) -> FastAPI:
    """Return the lab's application with a route that streams works by name."""
    app = create_app(lab)

    async def write(request: Request, name: str) -> Response:
        return await lab.streams.answer(request, works[name], encode, lambda error: event(str(error), "error"))

    app.add_api_route("/streams/{name}", write)
    app.router.routes.insert(0, app.router.routes.pop())  # before the page for every other address
    return app


def served(lab: Lab, works: dict[str, Work]) -> AbstractContextManager[int]:
    return serving_app(works_of(lab, works))


@contextmanager
def asked(port: int, path: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        yield connection


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    got = b""
    while mark not in got:
        more = connection.recv(65536)
        assert more, got
        got += more
    return got


def test_the_first_piece_goes_out_before_the_second_is_there(tmp_path: Path) -> None:
    go_on = threading.Event()

    def work(writer: Writer) -> None:
        writer.put("first")
        assert go_on.wait(20)
        writer.put("second")

    with served(Lab(tmp_path), {"two": work}) as port, asked(port, "/streams/two") as connection:
        got = read_until(connection, b"first")
        assert b"second" not in got
        assert b"text/event-stream" in got
        assert b"content-encoding" not in got
        go_on.set()
        read_until(connection, b"0\r\n\r\n")


def test_when_the_client_leaves_the_work_ends(tmp_path: Path) -> None:
    steps, ended = [0], threading.Event()

    def work(writer: Writer) -> None:
        with turns:
            go_on = writer.between(turns)
            while go_on():
                steps[0] += 1
                writer.put(steps[0])
                time.sleep(0.001)
        ended.set()

    turns, lab = Turns(), Lab(tmp_path)
    with served(lab, {"endless": work}) as port:
        with asked(port, "/streams/endless") as connection:
            read_until(connection, b"[1")
        left = time.monotonic()
        assert ended.wait(20)
        assert time.monotonic() - left < 2
        wait_until(lambda: lab.streams.n_running == 0)


@pytest.mark.slow
def test_a_client_that_leaves_before_the_first_piece_is_noticed(tmp_path: Path) -> None:
    began, ended = threading.Event(), threading.Event()

    def work(writer: Writer) -> None:
        began.set()
        wait_until(lambda: not writer.is_wanted)
        ended.set()

    with served(Lab(tmp_path), {"silent": work}) as port:
        with asked(port, "/streams/silent"):
            assert began.wait(20)
        assert ended.wait(20)


def test_what_goes_wrong_first_is_the_answer_and_later_a_piece(tmp_path: Path) -> None:
    def wrong(writer: Writer) -> None:
        raise UsageError("there is no such thing")

    def later(writer: Writer) -> None:
        writer.put("well")
        raise UsageError("it broke")

    with served(Lab(tmp_path), {"wrong": wrong, "later": later}) as port:
        with asked(port, "/streams/later") as connection:
            assert b"event: error\ndata: it broke" in read_until(connection, b"0\r\n\r\n")
        with asked(port, "/streams/wrong") as connection:
            got = read_until(connection, b"}")
            assert got.startswith(b"HTTP/1.1 400")
            assert b"there is no such thing" in got


def test_pieces_that_come_together_travel_together() -> None:
    async def read() -> list[list[int]]:
        streams = Streams()
        reading = streams.start(lambda writer: [writer.put(i) for i in range(1000)] and None)
        assert await reading.first()
        batches = [batch async for batch in reading.batches()]
        streams.close()
        return batches

    batches = asyncio.run(read())
    assert [i for batch in batches for i in batch] == list(range(1000))
    assert len(batches) < 20


def test_batches_keep_their_distance() -> None:
    async def read() -> tuple[list[float], list[int]]:
        def work(writer: Writer) -> None:
            for i in range(100):
                writer.put(i)
                time.sleep(0.001)

        streams, times, got = Streams(), [], []
        reading = streams.start(work)
        async for batch in reading.batches():
            times.append(asyncio.get_running_loop().time())
            got += batch
        streams.close()
        return times, got

    times, got = asyncio.run(read())
    assert got == list(range(100))
    assert all(later - sooner > 0.9 * BATCH_SECONDS for sooner, later in pairwise(times[:-1]))


def test_a_few_go_on_at_once_the_others_wait_their_turn_and_too_many_are_refused() -> None:
    async def ask() -> list[int]:
        streams, order, gate = Streams(at_once=1, waiting=2), [], threading.Event()

        def work(number: int) -> Work:
            def run(writer: Writer) -> int:
                gate.wait(20)
                order.append(number)
                return number

            return run

        readings = [streams.start(work(number)) for number in range(3)]
        with pytest.raises(BusyError, match="2 wait already"):
            streams.start(work(3))
        gate.set()
        assert [await reading.all() for reading in readings] == [0, 1, 2]
        wait_until(lambda: streams.n_running == 0)
        assert await streams.start(work(4)).all() == 4
        streams.close()
        return order

    assert asyncio.run(ask()) == [0, 1, 2, 4]


def test_who_is_no_longer_wanted_before_its_turn_never_begins() -> None:
    async def ask() -> list[str]:
        streams, done, gate = Streams(at_once=1), [], threading.Event()
        first = streams.start(lambda writer: (gate.wait(20), done.append("first")))
        second = streams.start(lambda writer: done.append("second"))
        second.stop()
        gate.set()
        await first.all()
        streams.close()
        return done

    assert asyncio.run(ask()) == ["first"]
