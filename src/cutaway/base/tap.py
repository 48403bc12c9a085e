"""Give a value its name: `scores_BHTS = tap("scores_BHTS", scores)`.

A tap does nothing, at no cost worth measuring, until somebody listens. Models name what is inside them
and never know who is looking; a microscope, a lens or a test listens with `listening`. A listener may return
another value, which then takes the place of the first (so an experiment can change one number and watch).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Value = TypeVar("Value")
Listener = Callable[[str, Value], Value | None]

_listeners: list[Listener] = []


def tap(name: str, value: Value) -> Value:
    """Return the value, after telling whoever listens that this is `name` (field name and axes)."""
    if _listeners:
        for listener in _listeners:
            replaced = listener(name, value)
            if replaced is not None:
                value = replaced
    return value


def is_listening() -> bool:
    """Whether anybody listens now, so that a model can open what it would otherwise fuse."""
    return bool(_listeners)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener(name, value)` at every tap inside the `with` block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
