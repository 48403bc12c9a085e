"""`cutaway bench lab`: what the lab costs and how soon it answers, a function for each bar.

What is watched, clicked and drawn happens in a real lab (a process of its own) and, where there is Chromium, in a real
browser. With and without alternate, so that a disturbance hits both.
"""

from __future__ import annotations

import json
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from cutaway.bench.browser import CHROMIUM, chromium
from cutaway.bench.facts import Fact
from cutaway.bench.lab_charts import run_charts_bench
from cutaway.bench.lab_generate import run_generate_lab_bench
from cutaway.bench.lab_microscope import run_microscope_screen_bench
from cutaway.bench.lab_microscope_browser import run_microscope_browser_bench
from cutaway.bench.lab_playground import run_playground_screen_bench
from cutaway.bench.lab_process import RunningLab, running_lab, training

Say = Callable[[str], None]

WATCHERS = 20
IDLE_MEGABYTES = 400.0
START_SECONDS = 1.5
SLOWER_PERCENT = 3.0
SETTINGS = ("--train.validate-every", "1000000", "--train.precision", "float32", "--train.compile", "off")
"""Of the training that is watched: nothing but steps."""


def run_lab_bench(is_quick: bool, say: Say = lambda line: None) -> list[Fact]:
    """Return what was measured."""
    facts = [*idle(say), *run_generate_lab_bench(is_quick, say)]
    with running_lab() as lab, training(lab, "watched", *SETTINGS) as metrics:
        facts += watched_by_streams(lab, metrics, is_quick, say)
        if CHROMIUM:
            facts += watched_by_tabs(lab, metrics, is_quick, say)
        else:
            say("no chromium on this machine: what needs a browser was not measured")
    facts += run_microscope_screen_bench(is_quick, say)
    if CHROMIUM:
        facts += run_microscope_browser_bench(is_quick, say)
        facts += run_playground_screen_bench(is_quick, say)
        facts += run_charts_bench(is_quick, say)
    return facts


def idle(say: Say) -> list[Fact]:
    """Measure a lab that does nothing: its memory, and how soon it answered."""
    say("an idle lab")
    with running_lab() as lab:
        for path in ("/api/jobs", "/api/runs", "/api/home"):
            lab.ask(path)
        time.sleep(1)
        size = psutil.Process(lab.process.pid).memory_info().rss
        return [
            Fact("idle lab: memory of the server", size / 1e6, "MB", IDLE_MEGABYTES),
            Fact("idle lab: from the command to the first answer", lab.start_seconds, "s", START_SECONDS),
        ]


def watched_by_streams(lab: RunningLab, metrics: Path, is_quick: bool, say: Say) -> list[Fact]:
    """Measure by how much clients that hear every row slow a training down."""
    say(f"a training watched by {WATCHERS} streams of events")

    @contextmanager
    def watching() -> Iterator[None]:
        with streams(lab.address, WATCHERS):
            yield

    slower = slowing(f"training watched by {WATCHERS} event streams: slower by", metrics, watching, is_quick)
    with watching():
        server = psutil.Process(lab.process.pid)
        before, started = server.cpu_times(), time.perf_counter()
        time.sleep(3.0 if is_quick else 10.0)
        after, seconds = server.cpu_times(), time.perf_counter() - started
    busy = 100 * (after.user + after.system - before.user - before.system) / seconds
    return [slower, Fact("  of one core, the server takes for them", busy, "%", SLOWER_PERCENT)]


def watched_by_tabs(lab: RunningLab, metrics: Path, is_quick: bool, say: Say) -> list[Fact]:
    """Measure by how much tabs of one browser slow a training that they show: one in front, the others behind it.

    Chromium without a screen calls every tab visible, so those behind are told that they are hidden. What the one in front
    draws is drawn without a graphics card, on the processor that trains.
    """
    say(f"a training watched by {WATCHERS} tabs of a browser")
    with chromium() as browser:
        context = browser.new_context()
        pages = [context.new_page() for _ in range(WATCHERS)]
        for page in pages[:-1]:
            page.add_init_script("Object.defineProperty(document, 'hidden', { get: () => true })")

        @contextmanager
        def watching() -> Iterator[None]:
            for page in pages:
                page.goto(f"{lab.address}/runs/watched", wait_until="commit")
            pages[-1].locator("main").get_by_role("heading").first.wait_for(timeout=60_000)
            pages[-1].wait_for_timeout(3000)  # opening is not watching
            yield
            for page in pages:
                page.goto("about:blank")

        return [slowing(f"training watched by {WATCHERS} tabs: slower by", metrics, watching, is_quick)]


def slowing(what: str, metrics: Path, watching: Callable[[], Any], is_quick: bool) -> Fact:
    """Return by how many percent a training is slower while it is watched: medians of turns with and without."""
    rounds, seconds = (3, 3.0) if is_quick else (8, 6.0)
    plain, watched = [], []
    for _ in range(rounds):
        plain.append(steps_a_second(metrics, seconds))
        with watching():
            watched.append(steps_a_second(metrics, seconds))
    percent = 100 * (statistics.median(plain) / statistics.median(watched) - 1)
    return Fact(what, percent, "%", SLOWER_PERCENT)


def steps_a_second(metrics: Path, seconds: float) -> float:
    """Return how fast a training goes, by what it writes itself, over some time from now."""
    first = last_row(metrics)
    time.sleep(seconds)
    last = last_row(metrics)
    return (last["step"] - first["step"]) / (last["seconds"] - first["seconds"])


def last_row(metrics: Path) -> dict[str, Any]:
    """Return the last complete line of a file of JSON lines."""
    with metrics.open("rb") as file:
        file.seek(max(0, metrics.stat().st_size - 65_536))
        return json.loads(file.read().rpartition(b"\n")[0].splitlines()[-1])


@contextmanager
def streams(address: str, n: int) -> Iterator[list[int]]:
    """Hold connections that hear the lab's events; give how many bytes each has heard."""
    host, port = address.removeprefix("http://").rsplit(":", 1)
    chosen, heard, is_over = selectors.DefaultSelector(), [0] * n, threading.Event()
    sockets = [socket.create_connection((host, int(port))) for _ in range(n)]
    for number, connection in enumerate(sockets):
        connection.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        chosen.register(connection, selectors.EVENT_READ, number)

    def listen() -> None:
        while not is_over.is_set():
            for key, _ in chosen.select(0.5):
                heard[key.data] += len(sockets[key.data].recv(1 << 20))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield heard
    finally:
        is_over.set()
        listener.join()
        for connection in sockets:
            connection.close()
        chosen.close()
