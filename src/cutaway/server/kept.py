"""Answers that take long to compute and are asked for in parts: kept for a while, within a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Kept:
    """Answers by key. Two who ask at once wait for one computation.

    Args:
        most_bytes: what they may take together; the newest is kept even if it is larger.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._at_work: dict[Hashable, threading.Lock] = {}

    def once(self, key: Hashable, compute: Callable[[], T], size_bytes: Callable[[T], int]) -> T:
        """Return what was computed before for this key, or compute it."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key][0]
            working = self._at_work.setdefault(key, threading.Lock())
        with working:
            with self._lock:
                if key in self._known:
                    return self._known[key][0]
            try:
                found = compute()
            finally:
                with self._lock:
                    self._at_work.pop(key, None)
            with self._lock:
                self._known[key] = found, size_bytes(found)
                while len(self._known) > 1 and sum(size for _, size in self._known.values()) > self._most_bytes:
                    self._known.popitem(last=False)
            return found

    def forget(self, key: Hashable) -> None:
        """Let it be computed again."""
        with self._lock:
            self._known.pop(key, None)
