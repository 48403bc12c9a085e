"""What changes in the lab, told as it happens (server-sent events).

One task looks twice a second, for all who listen: it reads what is new, writes it down once, and hands the same bytes to
every client. With nobody listening nothing is read. A client that cannot keep up is let go; it comes back and asks for
what it missed by row index.

    event: jobs   data: [Job, ...]                        the whole queue, whenever it changed
    event: run    data: {RunNow..., "from", "went_back", "new"}   new rows of metrics.jsonl from index `from` on
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from cutaway.base.runs import RunFolder, list_runs
from cutaway.server.jobs import Jobs
from cutaway.server.tails import RunNow, RunTail, as_json_lines, identity

LOOK_EVERY_SECONDS = 0.5
BEAT_EVERY_SECONDS = 10.0
"""So often a client hears something, be it nothing: both ends then notice when the other is gone."""
QUEUED_AT_MOST = 64
"""A client that far behind is let go."""
BEAT = b"event: beat\ndata: 0\n\n"

Queue = asyncio.Queue[tuple[int, bytes | None]]
"""Numbered news for one client; None ends its stream."""


class Events:
    """Tells every client what changes in one home folder."""

    def __init__(self, home: Path, jobs: Jobs) -> None:
        self.home, self.jobs = home, jobs
        self.clients: set[Queue] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._tails: dict[str, RunTail] = {}
        self._jobs_said = b""
        self._lock = threading.Lock()
        self._number = 0

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the events for one client, beginning with how things are."""
        self._loop = asyncio.get_running_loop()
        queue: Queue = asyncio.Queue(QUEUED_AT_MOST)
        self.clients.add(queue)
        try:
            if self._task is None or self._task.done():
                await asyncio.to_thread(self._begin)
                if self._task is None or self._task.done():
                    self._task = asyncio.create_task(self._look())
            beginning, state = await asyncio.to_thread(self._state)
            yield b"retry: 1000\n\n" + state
            while True:
                try:
                    number, told = await asyncio.wait_for(queue.get(), BEAT_EVERY_SECONDS)
                except TimeoutError:
                    yield BEAT
                    continue
                if told is None:
                    return
                if number > beginning:
                    yield told
        finally:
            self.clients.discard(queue)

    def close(self) -> None:
        """End every client's stream; from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._let_all_go)

    def now(self, run: RunFolder) -> RunNow:
        """Return how far a run is, watched or not."""
        tail = RunTail.open(run)
        return tail.now()

    async def _look(self) -> None:
        idle = 0
        while idle < 2:  # a page that is loaded again finds everything as it was
            number, told = await asyncio.to_thread(self._changes)
            for queue in list(self.clients):
                if told:
                    try:
                        queue.put_nowait((number, told))
                    except asyncio.QueueFull:
                        self._let_go(queue)
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            idle = 0 if self.clients else idle + 1

    def _let_all_go(self) -> None:
        for queue in list(self.clients):
            self._let_go(queue)

    def _let_go(self, queue: Queue) -> None:
        self.clients.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait((0, None))

    def _begin(self) -> None:
        with self._lock:
            self._tails = {run.name: RunTail.open(run) for run in list_runs(self.home)}
            self._jobs_said = self._jobs_event()

    def _state(self) -> tuple[int, bytes]:
        """Return the events that say how things are now, and the number of the last news in them."""
        with self._lock:
            running = [tail for tail in self._tails.values() if tail.status == "running"]
            told = self._jobs_event() + b"".join(_run_event(tail, *tail.last_row(), False) for tail in running)
            return self._number, told

    def _jobs_event(self) -> bytes:
        jobs = [job.model_dump() for job in self.jobs.list()[:100]]
        return _event("jobs", json.dumps(jobs, separators=(",", ":")).encode())

    def _changes(self) -> tuple[int, bytes]:
        """Return the events since the last look, and their number."""
        with self._lock:
            told = self._look_at_all()
            self._number += 1
            return self._number, told

    def _look_at_all(self) -> bytes:
        told = []
        jobs = self._jobs_event()
        if jobs != self._jobs_said:
            self._jobs_said = jobs
            told.append(jobs)
        seen = {run.name: run for run in list_runs(self.home)}
        for name in [name for name in self._tails if name not in seen]:
            told.append(_gone(self._tails.pop(name)))
        for name, run in seen.items():
            tail = self._tails.get(name)
            is_new = tail is None or tail.made != identity(run)
            if tail is None or is_new:
                tail = self._tails[name] = RunTail.open(run)
                told.append(_run_event(tail, *tail.last_row(), False))
                continue
            first, new, went_back = tail.new_rows()
            if tail.look_around(grew=bool(new)) or new or went_back:
                told.append(_run_event(tail, first, new, went_back))
        return b"".join(told)


def _run_event(tail: RunTail, first: int, new: bytes, went_back: bool) -> bytes:
    facts = tail.now().model_dump() | {"from": first, "went_back": went_back}
    head = json.dumps(facts, separators=(",", ":")).encode()
    return _event("run", head[:-1] + b',"new":[' + as_json_lines(new) + b"]}")


def _gone(tail: RunTail) -> bytes:
    facts = {"run": tail.run.name, "made": tail.made, "rows": 0, "samples": 0, "checkpoints": 0, "status": "gone"}
    return _event("run", json.dumps(facts | {"total_steps": None, "from": 0, "went_back": False, "new": []}).encode())


def _event(kind: str, data: bytes) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
