"""Which elements of which operands a read reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from cutaway.microscope.bound_tree import Node, Var
from cutaway.microscope.evaluate import Evaluator
from cutaway.microscope.values import Array, spread


def places_of(
    read: Node, every: tuple[Var, ...], evaluator: Evaluator, chosen: Array | None = None
) -> tuple[Array, Array | None]:
    """Return the index of every element a read reads, one row per axis, and which are inside the array (None: all).

    Args:
        chosen: which of the elements, counted through; None for all.
    """
    shape = evaluator.count(every)
    where = None if chosen is None else np.unravel_index(chosen, shape)
    rows, inside = [], None
    for index, size in zip(read.args, evaluator.array(read.data[0]).shape, strict=True):
        value = evaluator.value(index)
        place = np.broadcast_to(spread(value.array, value.vars, every), shape)
        place = place.ravel() if where is None else place[where]
        if index.bounds is None or index.bounds[0] < 0 or index.bounds[1] >= size:
            whole = np.floor(np.where(np.isfinite(place), place, -1)).astype(np.int64)
            here = (whole == place) & (whole >= 0) & (whole < size)
            inside = here if inside is None else inside & here
            place = whole
        rows.append(place)
    count = math.prod(shape) if chosen is None else len(chosen)
    return np.array(rows, dtype=np.int64).reshape(len(rows), count), inside


def named_places(name: str, places: Array, evaluator: Evaluator) -> Iterator[tuple[str, Any, Array]]:
    """Yield for a name in the bound tree the operands it stands for: name, which of the places, and their indices there."""
    while name.endswith(".flat") or name.startswith("spread("):
        if name.endswith(".flat"):
            name = name.removesuffix(".flat")
            shape = np.shape(evaluator.arrays[name])
            rows = list(np.unravel_index(places[0], shape)) if shape else []
        else:
            name = first_argument(name)
            shape = np.shape(evaluator.arrays[name])
            left_out = len(places) - len(shape)
            rows = [np.zeros(places.shape[1], np.int64)] * -left_out + list(places[max(left_out, 0) :])
            rows = [row if n > 1 else np.zeros_like(row) for row, n in zip(rows, shape, strict=True)]
        places = np.array(rows, dtype=np.int64).reshape(len(shape), places.shape[1])
    if name.endswith(".*"):
        for n in np.unique(places[0]).tolist():
            chosen = places[0] == n
            yield f"{name[:-2]}.{n}", chosen, places[1:, chosen]
        return
    yield "out" if name == "out0" else name, slice(None), places


def first_argument(call: str) -> str:
    """Return the first argument of a call written as text."""
    depth = 0
    for n, letter in enumerate(call):
        if letter == "," and depth == 1:
            return call[call.index("(") + 1 : n]
        depth += (letter == "(") - (letter == ")")
    return call[call.index("(") + 1 : -1]
