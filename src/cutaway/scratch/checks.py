"""What comes from outside the playground is checked here, and what leaves it is made plain.

A request arrives as JSON, so every number may be of the wrong kind, missing or out of range. Each check returns the value
or raises an error that says what was given and what was expected.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from cutaway.base.errors import CutawayError, UsageError, suggest


def whole(value: Any, name: str, low: int, high: int, error: type[CutawayError] = UsageError) -> int:
    """Return value if it is a whole number from low to high.

    Raises:
        CutawayError: of the given kind, if it is not.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not low <= value <= high:
        raise error(f"{name} is {value!r}; expected a whole number from {low} to {high}")
    return int(value)


def number(
    value: Any, name: str, low: float = -math.inf, high: float = math.inf, error: type[CutawayError] = UsageError
) -> float:
    """Return value as a float if it is a finite number from low to high.

    Raises:
        CutawayError: of the given kind, if it is not.
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not abs(value) <= sys.float_info.max or not low <= value <= high:
        limits = (
            "" if low == -math.inf else f" of at least {low:g}" if high == math.inf else f" from {low:g} to {high:g}"
        )
        raise error(f"{name} is {value!r}; expected a finite number{limits}")
    return float(value)


def members(value: Any, name: str, names: Sequence[str]) -> Mapping[str, Any]:
    """Return value if it is a JSON object with no other names than these.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} is {value!r:.60}; expected an object with {', '.join(names)}")
    for key in value:
        if key not in names:
            raise UsageError(f"{name} has no {key!r}{suggest(str(key), names)}; expected {', '.join(names)}")
    return value


def plain(value: Any) -> Any:
    """Return value as JSON knows it; numbers that JSON lacks become the texts "NaN", "Infinity" and "-Infinity"."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
