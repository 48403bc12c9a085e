"""Give a value its name: `scores_BHTS = tap("scores_BHTS", scores)`.

A tap does nothing, at no cost worth measuring, until somebody listens. Models name what is inside them
and never know who is looking; a microscope, a lens or a test listens with `listening`. A listener may return
another value, which then takes the place of the first (so an experiment can change one number and watch).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Value = TypeVar("Value")
Listener = Callable[[str, Value], Value | None]

_listeners: list[tuple[int, Listener]] = []
"""Who listens, each with its thread: a model that writes in one must not be heard, or changed, in another."""


def tap(name: str, value: Value) -> Value:
    """Return the value, after telling whoever listens in this thread that this is `name` (field name and axes)."""
    if _listeners:
        here = threading.get_ident()
        for thread, listener in list(_listeners):
            if thread == here and (replaced := listener(name, value)) is not None:
                value = replaced
    return value


def is_listening() -> bool:
    """Whether anybody listens in this thread now, so that a model can open what it would otherwise fuse."""
    return bool(_listeners) and any(thread == threading.get_ident() for thread, _ in _listeners)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener(name, value)` at every tap of this thread inside the `with` block."""
    entry = (threading.get_ident(), listener)
    _listeners.append(entry)
    try:
        yield
    finally:
        _listeners.remove(entry)
