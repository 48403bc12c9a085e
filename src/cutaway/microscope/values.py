"""Arrays with named axes: what a node of a bound tree is, on the variables it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cutaway.microscope.bound_tree import Var

Array = np.ndarray[Any, Any]
LARGEST = 1e300
"""Errors of infinite numbers; a finite stand-in, so that 0 times it is 0."""


class Value(NamedTuple):
    """What a node is, on its own variables."""

    array: Array
    error: Array | None
    """In units of eps; None: exact."""
    vars: tuple[Var, ...]


def spread(array: Array, own: tuple[Var, ...], over: Sequence[Var]) -> Array:
    """Return the array with axes of size 1 for the variables it does not depend on."""
    if len(own) == len(over):
        return array
    return array[tuple(slice(None) if v in own else None for v in over)]


def union(*parts: tuple[Var, ...]) -> tuple[Var, ...]:
    """Return all variables, in order."""
    return tuple(sorted(set().union(*parts)))


def size_of(value: Array) -> Array:
    """Return the absolute value, infinities made finite."""
    size = np.abs(value)
    return np.minimum(size, LARGEST, out=size if size.ndim and size.dtype == np.float64 else None)


def plus(a: Array | None, b: Array | None) -> Array | None:
    """Return the sum of two errors."""
    return b if a is None else a if b is None else a + b
