"""Recompute a whole recording from its formulas in float64 and compare.

For every result of every operation: what the formula gives for the recorded operands, beside what was recorded. The
formula also says how far rounding may have moved the number, so an error is told in units of that: above `SAFETY`
something is wrong. Nothing is skipped silently: an operation without a formula is listed by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cutaway.microscope.explain import SAFETY, eps, tiny
from cutaway.microscope.formula import lookup
from cutaway.microscope.record import Operation, Place
from cutaway.microscope.trace import Trace


@dataclass
class Kind:
    """One kind of operation."""

    operations: int = 0
    values_checked: int = 0
    worst_error: float = 0.0
    worst_address: str = ""


@dataclass
class Report:
    """What verifying found."""

    operations: int = 0
    """That compute something; views are index maps and need no checking."""
    views: int = 0
    explained: int = 0
    drawn: int = 0
    """Of the explained: random draws and memory nobody filled, with nothing to recompute."""
    opaque: list[str] = field(default_factory=list)
    """Names of operations without a formula, each once."""
    values_checked: int = 0
    worst_error: float = 0.0
    """In units of the rounding expected."""
    worst_address: str = ""
    wrong: list[str] = field(default_factory=list)
    """Addresses whose numbers do not follow from their operands."""
    kinds: dict[str, Kind] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every number that was recomputed is what was recorded. Opaque operations are told, not failed."""
        return not self.wrong

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        lines = [
            f"{'every number agrees' if self.ok else 'NUMBERS DIFFER'}: {self.operations:,} operations, "
            f"{self.explained:,} explained ({self.drawn} drawn at random or empty), {self.values_checked:,} values "
            f"checked, {self.views:,} views",
            f"worst error {self.worst_error:.3g} times the rounding expected ({self.worst_address}); above {SAFETY:g} "
            "would be wrong",
        ]
        if self.opaque:
            lines.append(f"no formula for {', '.join(self.opaque)}")
        lines += [f"WRONG: {address}" for address in self.wrong[:10]]
        return "\n".join(lines)


def verify(trace: Trace) -> Report:
    """Recompute every operation of a trace and compare."""
    report = Report()
    opaque: Counter[str] = Counter()
    for operation in trace.operations:
        if operation.is_view:
            report.views += 1
            continue
        report.operations += 1
        formula = None if operation.is_unseen else lookup(operation.name)
        if formula is None:
            opaque[operation.name] += 1
            continue
        report.explained += 1
        bound = formula.bind(*trace.bind(operation), eps=widest(operation))
        kind = report.kinds.setdefault(operation.name, Kind())
        kind.operations += 1
        checked = 0
        for which, place in operation.outputs():
            if bound.kind(which) != "computed":
                continue
            checked += 1
            error = compare(trace, place, bound.pieces(which))
            kind.values_checked += place.numel
            report.values_checked += place.numel
            address = trace.names.results.get((operation.number, which), operation.name)
            if error > kind.worst_error:
                kind.worst_error, kind.worst_address = error, address
            if error > report.worst_error:
                report.worst_error, report.worst_address = error, address
            if error > SAFETY:
                report.wrong.append(address)
        report.drawn += not checked
    report.opaque = sorted(opaque)
    return report


def widest(operation: Operation) -> float | None:
    """Return the rounding step of an operation's results."""
    return max((eps(place.dtype) for _, place in operation.outputs()), default=0.0) or None


Pieces = Iterable[tuple[tuple[slice, ...], Any, Any]]


def compare(trace: Trace, place: Place, pieces: Pieces) -> float:
    """Return the worst error of a result in units of the rounding expected.

    Args:
        pieces: parts of the result: where, what the formula gives, how far rounding may move it.
    """
    recorded, worst = trace.array(place), 0.0
    with np.errstate(all="ignore"):
        for where, values, rounding in pieces:
            own = recorded[where]
            if not own.size:
                continue
            if own.dtype.kind != "f":
                # what is infinite or undefined has no whole number
                wrong = (own != values) & np.isfinite(values)
                worst = np.inf if wrong.any() else worst
                continue
            allowed = eps(place.dtype) * rounding + tiny(place.dtype)
            same = (own == values) | (np.isnan(own) & np.isnan(values))
            errors = np.where(same, 0.0, np.abs(own - values) / allowed)
            worst = max(worst, float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).max()))
    return worst
