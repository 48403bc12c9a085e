"""The terms that one element of a result is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from cutaway.microscope.values import Array

MOST_TERMS = 1 << 18
"""Of more terms than this only the largest are kept, and what the others add up to."""
KEPT_TERMS = 1 << 12


class Term(NamedTuple):
    """One contribution to an element."""

    value: float
    weight: float
    """What the element read is multiplied by, or the derivative by it."""
    operand: str
    """The argument's name, `tensors.3` in a list, or `out1` for another result."""
    index: tuple[int, ...]  # type: ignore[assignment]
    others: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """The elements the weight is made of, if it is a product of elements."""


@dataclass
class Column:
    """Terms of the same kind, as arrays."""

    operand: str
    values: Array
    weights: Array
    places: Array
    """The index of each term's element, one row per axis."""
    others: list[tuple[str, Array]] = field(default_factory=list)

    def term(self, n: int) -> Term:
        """Return one term."""
        others = tuple((name, tuple(places[:, n].tolist())) for name, places in self.others)
        return Term(
            self.values[n].item(), self.weights[n].item(), self.operand, tuple(self.places[:, n].tolist()), others
        )

    def terms(self) -> Iterator[Term]:
        """Yield all terms."""
        others: Any = [[(name, tuple(one)) for one in places.T.tolist()] for name, places in self.others]
        others = zip(*others, strict=True) if others else [()] * len(self.values)
        rows = zip(self.values.tolist(), self.weights.tolist(), self.places.T.tolist(), others, strict=True)
        for value, weight, place, other in rows:
            yield Term(value, weight, self.operand, tuple(place), tuple(other))

    def largest(self, most: int) -> Column:
        """Return the terms of largest size."""
        order = np.argpartition(-np.abs(self.values), most - 1)[:most]
        others = [(name, places[:, order]) for name, places in self.others]
        return Column(self.operand, self.values[order], self.weights[order], self.places[:, order], others)


@dataclass
class At:
    """One element of a result, recomputed."""

    value: float | None
    """In float64; None if there is nothing to recompute."""
    kind: str
    """`sum of products`: the terms, the constant and the rest add up to the value; `function`: the terms are first-order
    shares; `drawn`, `unset` or `missing`: nothing to recompute."""
    rounding: float = 0.0
    """How far rounding may have moved the recorded number, in units of eps."""
    constant: float = 0.0
    """What is added that does not come from an operand."""
    rest: float = 0.0
    """What the terms left out add up to (of very long sums only the largest terms are kept)."""
    rest_count: int = 0
    columns: list[Column] = field(default_factory=list)
    writer: Any = None

    @cached_property
    def terms(self) -> list[Term]:
        """All terms, in the order of the formula."""
        return [term for column in self.columns for term in column.terms()]

    def largest(self, most: int) -> list[Term]:
        """Return the largest terms, largest first."""
        near = [c.largest(most) if len(c.values) > most else c for c in self.columns]
        return sorted((term for column in near for term in column.terms()), key=lambda term: -abs(term.value))[:most]

    @cached_property
    def numbers(self) -> str:
        """The formula with numbers put in, long sums cut."""
        return self.writer(self) if self.writer is not None else self.kind


def keep(result: At, column: Column) -> None:
    """Add the largest terms of a column to a result, the others to the rest."""
    before = next((c for c in result.columns if c.operand == column.operand), None)
    if before is not None:
        result.columns.remove(before)
        column = Column(
            column.operand,
            np.concatenate([before.values, column.values]),
            np.concatenate([before.weights, column.weights]),
            np.concatenate([before.places, column.places], axis=1),
            [(a[0], np.concatenate([a[1], b[1]], axis=1)) for a, b in zip(before.others, column.others, strict=True)],
        )
    if len(column.values) > KEPT_TERMS:
        kept = column.largest(KEPT_TERMS)
        result.rest += float(column.values.sum() - kept.values.sum())
        result.rest_count += len(column.values) - KEPT_TERMS
        column = kept
    result.columns.append(column)


def merged(columns: list[Column]) -> list[Column]:
    """Return columns with one term for each element read."""
    result = []
    for operand in dict.fromkeys(column.operand for column in columns):
        mine = [column for column in columns if column.operand == operand]
        weights = np.concatenate([column.weights for column in mine])
        places = np.concatenate([column.places for column in mine], axis=1)
        values = np.concatenate([column.values for column in mine])
        if len(mine) > 1 or len(weights) > 1:
            shape = places.max(axis=1, initial=0) + 1
            flat = np.zeros(len(weights), np.int64)
            for row, n in zip(places, shape, strict=True):
                flat = flat * n + row
            _, first, which = np.unique(flat, return_index=True, return_inverse=True)
            if len(first) < len(flat):
                weights = np.bincount(which, weights=weights, minlength=len(first))
                values = np.bincount(which, weights=values, minlength=len(first))
                places = places[:, first]
        result.append(Column(operand, np.asarray(values), np.asarray(weights), places))
    return result
