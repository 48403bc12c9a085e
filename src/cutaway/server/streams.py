"""Text as it is written: work in a thread, its pieces to the client as they come, and an end when the client leaves.

    def work(writer: Writer) -> None:                  runs in a thread of its own
        opened = lab.models.open(name)
        with opened.lock:
            generate(..., on_token=lambda i, piece: writer.put(piece), is_wanted=writer.between(opened.lock))

    @router.post("/write")
    async def write(lab: TheLab, request: Request) -> Response:
        return await lab.streams.answer(request, work, encode)      encode: list of pieces -> bytes

Pieces that come within `BATCH_SECONDS` travel together, so the faster a model writes, the less each token costs the server.
What goes wrong before the first piece is the answer's own error, with its status; later it is handed to `encode_error`.
A few works go on at once; the others wait, fairly to each person (`fair_queue.py`), and when too many wait, the next is
refused. Who waits can be told how many are before.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cutaway.server.fair_queue import BusyError, FairQueue
from cutaway.server.turns import Turns

__all__ = ["BusyError", "Reading", "Streams", "Writer", "event"]

BATCH_SECONDS = 0.015
"""A client gets what came within this time at once; the first piece goes out at once."""
AT_ONCE = 4
"""Works that go on side by side: as many models as the Generate screen shows."""
WAITING = 200
WAITING_EACH = 32
"""Of one person: two programs may ask for many texts."""
LOOK_SECONDS = 0.2
"""So often one looks whether a client that waits for its first piece is still there."""

Work = Callable[["Writer"], Any]


class Writer:
    """The end of a stream that the work writes to."""

    def __init__(self) -> None:
        self.is_wanted = True
        """Whether anybody still reads."""
        self.ahead = 0
        """How many works are before this one in the queue; 0 once it goes on."""
        self._pieces: deque[Any] = deque()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._is_told = False
        self._future: Future[Any] | None = None

    def put(self, piece: Any) -> None:
        """Hand a piece to whoever reads."""
        self._pieces.append(piece)
        if not self._is_told:
            self._is_told = True
            self._tell()

    def between(self, turns: Turns) -> Callable[[], bool]:
        """Return what long work asks between two steps: lets others have the model, tells whether to go on."""

        def go_on() -> bool:
            turns.give_way()
            return self.is_wanted

        return go_on

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._news.set)

    def _end(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ended.set)
        self._tell()


class Reading:
    """The end of a stream that the server reads from: batches of pieces, until the work is done."""

    def __init__(self, writer: Writer, give_up: Callable[[Writer], None]) -> None:
        self.writer = writer
        self._give_up = give_up

    def stop(self) -> None:
        """Nobody reads any more: the work ends at its next step, or never begins."""
        self.writer.is_wanted = False
        self._give_up(self.writer)

    @property
    def is_done(self) -> bool:
        """Whether the work has ended, well or not."""
        return self.writer._future is not None and self.writer._future.done()

    async def first(self, request: Request | None = None) -> bool:
        """Wait for the first piece or the end; return False when the client left meanwhile.

        Raises:
            whatever the work raised before its first piece.
        """
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.writer._news.wait(), LOOK_SECONDS)
                if not self.writer._pieces:
                    self.result()
                return True
            if request is not None and await request.is_disconnected():
                self.stop()
                return False

    async def places(self) -> AsyncIterator[int]:
        """Yield how many are before this work whenever it changes, until it says or raises something."""
        told = -1
        while not self.writer._news.is_set():
            if self.writer.ahead != told:
                told = self.writer.ahead
                yield told
            with suppress(TimeoutError):
                await asyncio.wait_for(self.writer._news.wait(), LOOK_SECONDS)

    async def batches(self) -> AsyncIterator[list[Any]]:
        """Yield what has come, at most every `BATCH_SECONDS`.

        Raises:
            whatever the work raised.
        """
        writer, loop = self.writer, asyncio.get_running_loop()
        try:
            while True:
                await writer._news.wait()
                writer._news.clear()
                is_done = self.is_done
                writer._is_told = False
                if batch := [writer._pieces.popleft() for _ in range(len(writer._pieces))]:
                    sent = loop.time()
                    yield batch
                    if not is_done:
                        with suppress(TimeoutError):  # the end is told at once
                            async with asyncio.timeout_at(sent + BATCH_SECONDS):
                                await writer._ended.wait()
                if is_done:
                    self.result()
                    return
        finally:
            self.stop()

    async def all(self, request: Request | None = None) -> Any:
        """Wait until the work is done and return what it returned; None when the client left meanwhile."""
        while not self.is_done:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.writer._news.wait(), LOOK_SECONDS)
                self.writer._news.clear()
                self.writer._is_told = False
                self.writer._pieces.clear()
            if not self.is_done and request is not None and await request.is_disconnected():
                self.stop()
                return None
        return self.result()

    def result(self) -> Any:
        """Return what the work returned.

        Raises:
            whatever the work raised.
        """
        assert self.writer._future is not None
        return self.writer._future.result(timeout=0)


class Streams:
    """Works that go on, and those that wait.

    Args:
        at_once: works that go on side by side.
        waiting: that may wait.
        waiting_each: of one person.
    """

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING, waiting_each: int = WAITING_EACH) -> None:
        self._at_once = at_once
        self._pool = ThreadPoolExecutor(at_once, "writing")
        self._running: set[Writer] = set()
        self._queue: FairQueue[tuple[Work, Writer]] = FairQueue(waiting, waiting_each)
        self._guard = threading.RLock()
        self._is_closed = False

    def start(self, work: Work, who: str = "") -> Reading:
        """Begin some work, or queue it.

        Args:
            who: whose work it is; people get their turns one after the other.

        Raises:
            BusyError: too many wait already.
        """
        writer = Writer()
        with self._guard:
            self._queue.add((work, writer), who)
            self._begin_next()
        return Reading(writer, self._give_up)

    def _begin_next(self) -> None:
        """Begin as many works as may go on, and tell the others their places; to be called while holding the guard."""
        while len(self._running) < self._at_once and not self._is_closed and (following := self._queue.take()):
            work, writer = following
            self._running.add(writer)
            writer.ahead = 0
            try:
                writer._future = self._pool.submit(work, writer)
            except RuntimeError:  # Python is shutting down
                self._running.discard(writer)
                return
            writer._future.add_done_callback(lambda _, writer=writer: self._end(writer))  # type: ignore[misc]
        for place, (_, writer) in enumerate(self._queue.places(), 1):
            writer.ahead = place

    def _give_up(self, writer: Writer) -> None:
        """Take a work whose client left out of the queue."""
        with self._guard:
            waiting = next((one for one in self._queue.places() if one[1] is writer), None)
            if waiting is not None:
                self._queue.remove(waiting)
                self._begin_next()

    async def answer(
        self,
        request: Request,
        work: Work,
        encode: Callable[[Sequence[Any]], bytes],
        encode_error: Callable[[Exception], bytes] | None = None,
        at_end: bytes = b"",
        who: str = "",
        encode_place: Callable[[int], bytes] | None = None,
    ) -> Response:
        """Return the answer that streams what the work writes, as server-sent events or whatever `encode` makes of it.

        Args:
            encode_error: what to send for something that went wrong after the first piece; left out, the stream breaks.
            at_end: sent when the work ended well.
            who: whose work it is.
            encode_place: what to send for a place in the queue, as often as it changes. With it the answer begins at once,
                so what goes wrong before the first piece is handed to `encode_error` too.

        Raises:
            BusyError: too many wait already.
            whatever the work raised before its first piece.
        """
        reading = self.start(work, who)
        if encode_place is None and not await reading.first(request):
            return Response(status_code=204)  # nobody is there to read it

        async def body() -> AsyncIterator[bytes]:
            try:
                if encode_place is not None:
                    async for ahead in reading.places():
                        yield encode_place(ahead)
                async for batch in reading.batches():
                    yield encode(batch)
            except Exception as error:
                if encode_error is None:
                    raise
                yield encode_error(error)
                return
            if at_end:
                yield at_end

        return _Answer(body(), reading)

    def close(self) -> None:
        """End all work."""
        with self._guard:
            self._is_closed = True
            for writer in self._running:
                writer.is_wanted = False
            for waiting in self._queue.places():
                self._queue.remove(waiting)
                waiting[1].is_wanted = False
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def n_running(self) -> int:
        """How many go on or wait."""
        with self._guard:
            return len(self._running) + len(self._queue)

    @property
    def n_waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def _end(self, writer: Writer) -> None:
        with self._guard:
            self._running.discard(writer)
            self._begin_next()
        writer._end()


class _Answer(StreamingResponse):
    """A stream whose work ends when the client leaves."""

    def __init__(self, body: AsyncIterator[bytes], reading: Reading) -> None:
        super().__init__(body, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self.reading = reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.reading.stop()


def event(data: str, name: str = "") -> bytes:
    """Return one server-sent event; the data must be one line."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data}\n\n".encode()
