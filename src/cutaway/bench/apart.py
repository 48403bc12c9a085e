"""A side of a race in a process of its own, set up as it is when nobody measures it.

How a process keeps its freed memory (`base/memory.py`) is a tenth of a training step, and one setting for all of the
process: two sides in one process both have it, or neither. Ours makes that setting when it trains, and a plain loop does
not. So each side gets a process, and they still take turns: while one runs, the other waits for its word.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, TypeVar

import torch

from cutaway.base.errors import CutawayError

Result = TypeVar("Result")


class Apart(Generic[Result]):
    """A side in a process of its own; call it once a turn, for the seconds that the turn took.

    Args:
        build: makes the side there, at its first turn, and returns what takes a turn: a function of a module, given
            `arguments`.
    """

    def __init__(self, build: Callable[..., Callable[[], Result]], *arguments: Any) -> None:
        self.results: list[Result] = []
        """What its turns returned."""
        context = multiprocessing.get_context("spawn")
        self._line, far_end = context.Pipe()
        task = (far_end, torch.get_num_threads(), build, arguments)
        self._process = context.Process(target=_serve, args=task, daemon=True)
        self._process.start()
        far_end.close()  # or the end of that process would not be noticed here

    def __call__(self) -> float:
        """Let it take a turn and return the seconds.

        Raises:
            CutawayError: the side could not be made, or its process ended.
        """
        try:
            self._line.send("your turn")
            answer = self._line.recv()
        except (EOFError, OSError):
            self._process.join(5)
            raise CutawayError(f"a side of the race ended, with exit code {self._process.exitcode}") from None
        if isinstance(answer, CutawayError):
            raise answer
        seconds, result = answer
        self.results.append(result)
        return seconds

    def close(self) -> None:
        """End the process."""
        self._line.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()

    def __enter__(self) -> Apart[Result]:
        """It runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()


def _serve(line: Connection, threads: int, build: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> None:
    """Make a side and take turns until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks for turns is told, and closes
    torch.set_num_threads(threads)
    turn: Callable[[], Any] | None = None
    while True:
        try:
            line.recv()
        except EOFError:
            return
        try:
            turn = turn or build(*arguments)
            started = time.perf_counter()
            result = turn()
            line.send((time.perf_counter() - started, result))
        except CutawayError as error:
            line.send(error)
