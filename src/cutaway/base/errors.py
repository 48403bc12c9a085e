"""Every error a user can cause, in one tree.

A message says what was given, what was expected and what to do, in one line. The command line prints
`str(error)` and exits with `exit_code`: 1 for work that failed, 2 for a request that could not be understood.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CutawayError(Exception):
    """Something the user can understand and mend.

    Attributes:
        field: the setting it is about, where a form should show it there.
    """

    exit_code = 1
    field = ""


class UsageError(CutawayError):
    """A request that makes no sense: an unknown name, a value out of range."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting that cannot work, alone or with the others."""


class ShapeError(UsageError):
    """Arrays whose shapes do not fit an operation."""


class DataError(CutawayError):
    """Text that cannot be trained on or read."""


class TokenizerError(CutawayError):
    """Text and tokenizer that do not fit."""


class ModelFormatError(CutawayError):
    """A model folder or file that cannot be loaded."""


class RunError(CutawayError):
    """A run that is missing, broken or already there."""


class CheckpointError(RunError):
    """A checkpoint that is truncated, altered or from something else."""


class NonFiniteError(CutawayError):
    """Training produced an infinite or undefined number and stopped."""


class TraceError(CutawayError):
    """A recording that failed, or a trace that is broken or not ours.

    Attributes:
        trace: what was recorded until then, if anything.
    """

    def __init__(self, message: str, trace: object = None) -> None:
        super().__init__(message)
        self.trace = trace


def suggest(given: str, known: Iterable[str]) -> str:
    """Return `' (did you mean X?)'` for the nearest known names, or an empty string."""
    near = difflib.get_close_matches(given, list(known), n=2, cutoff=0.5)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
