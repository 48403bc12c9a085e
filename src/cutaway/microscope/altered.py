"""Arithmetic that cannot be, such as an altered trace may ask for, as one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from cutaway.base.errors import TraceError


@contextlib.contextmanager
def altered(trace: str) -> Iterator[None]:
    """Turn arithmetic that cannot be, such as an altered trace may ask for, into one line."""
    try:
        yield
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise TraceError(
            f"a number of {trace} cannot be recomputed ({type(error).__name__}: {said}); "
            "the trace was altered, or this is a fault of Cutaway worth reporting"
        ) from error
