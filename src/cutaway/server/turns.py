"""Whose turn it is: one at a time, in the order they came."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class Turns:
    """A lock that goes to who has waited longest, and that a long job can lend to the others between two steps.

    Args:
        n_threads: how many threads PyTorch may take for whoever has the turn.
    """

    def __init__(self, n_threads: int = 1) -> None:
        self.n_threads = n_threads
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_taken = False

    def __enter__(self) -> Turns:
        self._take()
        import torch

        if torch.get_num_threads() != self.n_threads:
            torch.set_num_threads(self.n_threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give()

    @property
    def n_waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def give_way(self) -> None:
        """Let all who wait now go first; to be called by who has the turn, between two steps of long work."""
        if self._waiting:
            self._give()
            self._take()

    def _take(self) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()  # released by who had the turn before

    def _give(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False
