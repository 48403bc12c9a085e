"""What changes, as every page hears it: nothing missed, nothing read twice, nobody waited for."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cutaway.base.runs import RunFolder
from cutaway.bench.browser import serving
from cutaway.server import events as events_module
from cutaway.server.app import create_app
from cutaway.server.events import QUEUED_AT_MOST, Events
from cutaway.server.jobs import Jobs
from cutaway.server.lab import Lab
from cutaway.server.tails import RunTail


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "LOOK_EVERY_SECONDS", 0.01)


def make_run(home: Path, name: str = "fox", rows: int = 3) -> Path:
    run = home / name
    (run / "checkpoints").mkdir(parents=True)
    (run / "recipe.toml").write_text("[train]\nsteps = 500\n")
    (run / "metrics.jsonl").write_text("".join(line(step) for step in range(1, rows + 1)))
    return run


def line(step: int) -> str:
    return json.dumps({"step": step, "loss": 1.0 / step}) + "\n"


def add(run: Path, *steps: int) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(map(line, steps))


class Client:
    """Hears the events of one stream."""

    def __init__(self, events: Events) -> None:
        self.stream: AsyncIterator[bytes] = events.stream()
        self.heard: list[tuple[str, Any]] = []

    async def hear(self) -> None:
        told = await asyncio.wait_for(anext(self.stream), 10)
        for block in told.decode().split("\n\n"):
            lines = dict(one.split(": ", 1) for one in block.splitlines() if ": " in one)
            if "event" in lines:
                self.heard.append((lines["event"], json.loads(lines["data"])))

    async def until(self, is_so: Callable[[], Any]) -> None:
        while not is_so():
            await self.hear()

    def runs(self) -> list[dict[str, Any]]:
        return [data for kind, data in self.heard if kind == "run"]

    def rows(self) -> list[int]:
        return [row["step"] for data in self.runs() for row in data["new"]]


def listening(home: Path, test: Callable[[Events, Client], Awaitable[None]]) -> None:
    """Run a test with one client that has heard how things are."""

    async def run() -> None:
        events = Events(home, Jobs(home))
        client = Client(events)
        await client.hear()
        await test(events, client)
        await client.stream.aclose()

    asyncio.run(run())


def test_new_rows_come_with_their_index(tmp_path: Path) -> None:
    run = make_run(tmp_path)

    async def test(events: Events, client: Client) -> None:
        assert [kind for kind, _ in client.heard] == ["jobs"]  # what rests needs no word
        add(run, 4, 5)
        await client.until(lambda: client.rows() == [4, 5])
        assert [(told["from"], told["rows"], told["total_steps"]) for told in client.runs()][-1] == (3, 5, 500)
        with (run / "metrics.jsonl").open("a") as file:
            file.write(line(6) + line(7)[:9])
            file.flush()
            await client.until(lambda: client.rows() == [4, 5, 6])
            file.write(line(7)[9:])
        await client.until(lambda: client.rows() == [4, 5, 6, 7])
        assert client.runs()[-1]["from"] == 6

    listening(tmp_path, test)


def test_what_is_no_number_becomes_null(tmp_path: Path) -> None:
    run = make_run(tmp_path)

    async def test(events: Events, client: Client) -> None:
        with (run / "metrics.jsonl").open("a") as file:
            file.write('{"step": 4, "loss": NaN, "grad_norm": -Infinity}\n')
        await client.until(client.rows)
        assert client.runs()[-1]["new"] == [{"step": 4, "loss": None, "grad_norm": None}]

    listening(tmp_path, test)


def test_a_run_that_goes_back_says_so(tmp_path: Path) -> None:
    """Going on from a checkpoint replaces the file by its first lines."""
    run = make_run(tmp_path, rows=9)

    async def test(events: Events, client: Client) -> None:
        aside = run / "aside"
        aside.write_text("".join(line(step) for step in range(1, 7)))
        aside.replace(run / "metrics.jsonl")
        await client.until(lambda: any(told["went_back"] for told in client.runs()))
        assert (client.runs()[-1]["from"], client.runs()[-1]["rows"]) == (6, 6)
        add(run, 7)
        await client.until(client.rows)
        assert (client.runs()[-1]["from"], client.rows()) == (6, [7])

    listening(tmp_path, test)


def test_samples_checkpoints_ends_and_what_is_deleted(tmp_path: Path) -> None:
    run = make_run(tmp_path)

    async def test(events: Events, client: Client) -> None:
        (run / "samples.jsonl").write_text('{"step": 1, "text": "a"}\n')
        await client.until(lambda: client.runs() and client.runs()[-1]["samples"] == 1)
        (run / "checkpoints" / "3").mkdir()
        await client.until(lambda: client.runs()[-1]["checkpoints"] == 1)
        with RunFolder(run).locked():
            add(run, 4)
            (run / "samples.jsonl").write_text('{"step": 1, "text": "a"}\n{"step": 4, "text": "b"}\n')
            await client.until(lambda: client.runs()[-1]["status"] == "running")
        await client.until(lambda: client.runs()[-1]["status"] == "stopped")  # killed: no file has changed
        RunFolder(run).write_summary({"status": "finished"})
        await client.until(lambda: client.runs()[-1]["status"] == "finished")
        before = client.runs()[-1]["made"]
        shutil.rmtree(run)
        await client.until(lambda: client.runs()[-1]["status"] == "gone")
        make_run(tmp_path, rows=1)
        await client.until(lambda: client.runs()[-1]["rows"] == 1)
        assert client.runs()[-1]["made"] != before

    listening(tmp_path, test)


def test_who_comes_later_hears_how_things_are(tmp_path: Path) -> None:
    run = make_run(tmp_path)

    async def test(events: Events, client: Client) -> None:
        with RunFolder(run).locked():
            add(run, 4)
            await client.until(client.rows)
            later = Client(events)
            await later.hear()
            assert [(told["from"], told["rows"], told["status"]) for told in later.runs()] == [(3, 4, "running")]
            assert later.rows() == [4]
            await later.stream.aclose()

    listening(tmp_path, test)


def test_twenty_clients_cost_one_reading_and_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path)
    looks = []
    read = RunTail.new_rows
    monkeypatch.setattr(RunTail, "new_rows", lambda tail: (looks.append(1), read(tail))[1])

    async def test(events: Events, client: Client) -> None:
        streams = [events.stream() for _ in range(20)]
        for stream in streams:
            await anext(stream)
        numbers_before = events._number
        looks.clear()
        add(run, 4, 5)
        told = await asyncio.gather(*(anext(stream) for stream in streams))
        assert len({id(one) for one in told}) == 1
        assert b'"from":3' in told[0]
        assert len(looks) <= events._number - numbers_before + 1
        for stream in streams:
            await stream.aclose()
        assert len(events.clients) == 1

    listening(tmp_path, test)


def test_no_row_is_missed_however_one_comes_and_goes(tmp_path: Path) -> None:
    run = make_run(tmp_path, rows=0)

    async def test(events: Events, client: Client) -> None:
        have: list[int] = []
        for step in range(1, 200):
            add(run, step)
            if step % 20 == 0:  # away for a moment
                await client.stream.aclose()
                add(run, *[])
                client.stream = events.stream()
                await client.hear()
            if step % 3 == 0:
                await asyncio.sleep(0.005)
        await client.until(lambda: client.runs() and client.runs()[-1]["rows"] == 199)
        for told in client.runs():
            if told["from"] > len(have):  # what the page asks /metrics for
                lines = (run / "metrics.jsonl").read_text().splitlines()
                have += [json.loads(one)["step"] for one in lines[len(have) : told["from"]]]
            have += [row["step"] for row in told["new"][len(have) - told["from"] :]]
        assert have == list(range(1, 200))

    listening(tmp_path, test)


@pytest.mark.slow
def test_who_cannot_keep_up_is_let_go(tmp_path: Path) -> None:
    run = make_run(tmp_path)

    async def test(events: Events, client: Client) -> None:
        step = 3
        while events.clients:
            step += 1
            add(run, step)
            await asyncio.sleep(0.011)
            assert step < 20 * QUEUED_AT_MOST
        with pytest.raises(StopAsyncIteration):
            while True:
                await client.hear()

    listening(tmp_path, test)


def test_with_nobody_listening_nothing_is_read(tmp_path: Path) -> None:
    async def run() -> None:
        events = Events(tmp_path, Jobs(tmp_path))
        client = Client(events)
        await client.hear()
        await client.stream.aclose()
        assert events._task is not None
        await asyncio.wait_for(events._task, 5)

    asyncio.run(run())


def test_the_stream_over_http_ends_with_the_lab_and_with_the_client(tmp_path: Path) -> None:
    import http.client

    lab = Lab(tmp_path)
    with serving(create_app(lab)) as address:
        first, second = (http.client.HTTPConnection(address.removeprefix("http://"), timeout=10) for _ in range(2))
        for connection in (first, second):
            connection.request("GET", "/api/events", headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert "content-encoding" not in answer.headers
            assert answer.readline() == b"retry: 1000\n"
            if connection is first:
                connection.close()
                answer.close()
        for _ in range(500):
            if len(lab.events.clients) == 1:
                break
            answer_lines = asyncio.run(asyncio.sleep(0.01))
            assert answer_lines is None
        assert len(lab.events.clients) == 1
        lab.events.close()
        assert answer.read().startswith(b"\nevent: jobs")
        second.close()
