"""Recompute a whole recording from its formulas in float64 and compare.

For every result of every operation: what the formula gives for the recorded operands, beside what was recorded. The
formula also says how far rounding may have moved the number, so an error is told in units of that: above `SAFETY`
something is wrong. Nothing is skipped silently: an operation without a formula is listed by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.microscope.explain import SAFETY, eps, tiny
from cutaway.microscope.formula import lookup
from cutaway.microscope.record import Index, Operation, Place
from cutaway.microscope.replay import replay
from cutaway.microscope.trace import Trace


@dataclass
class Kind:
    """One kind of operation."""

    operations: int = 0
    values_checked: int = 0
    worst_error: float = 0.0
    worst_address: str = ""


@dataclass(frozen=True)
class Gradient:
    """The gradient of one weight, beside what the loss does when the weight is moved up and down."""

    address: str
    index: Index
    recorded: float
    approximate: float
    allowed: float
    """How far apart they may be: the rounding of the loss, and a share for its curvature."""

    @property
    def ok(self) -> bool:
        """Whether they agree."""
        return abs(self.recorded - self.approximate) <= self.allowed


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
    gradients: list[Gradient] = field(default_factory=list)
    """Those compared with central differences."""

    @property
    def ok(self) -> bool:
        """Whether every number that was recomputed is what was recorded. Opaque operations are told, not failed."""
        return not self.wrong and all(gradient.ok for gradient in self.gradients)

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
        for one in self.gradients:
            lines.append(
                f"{one.address}{list(one.index)}: {one.recorded:.6g}, by central differences {one.approximate:.6g}: "
                f"{'agrees' if one.ok else 'DIFFERS'}"
            )
        return "\n".join(lines)


def verify(trace: Trace, gradients: int = 0, progress: Callable[[float], None] = lambda share: None) -> Report:
    """Recompute every operation of a trace and compare.

    Args:
        gradients: for so many weights, drawn at random, also run the program again with the weight moved up and down.
        progress: told how much is done, 0 to 1.
    """
    report = Report(gradients=check_gradients(trace, gradients) if gradients else [])
    opaque: Counter[str] = Counter()
    every = sum(place.numel for operation in trace.operations for _, place in operation.outputs()) or 1
    done = 0
    for operation in trace.operations:
        progress(done / every)
        done += sum(place.numel for _, place in operation.outputs())
        if operation.is_view:
            report.views += 1
            continue
        report.operations += 1
        formula = lookup(operation.name) if operation.has_formula_kinds else None
        if formula is None:
            opaque[operation.name] += 1
            continue
        report.explained += 1
        bound = formula.bind(*trace.bind(operation), eps=widest(operation))
        kind = report.kinds.setdefault(operation.name, Kind())
        kind.operations += 1
        checked = 0
        for which, place in operation.outputs():
            if not place.numel or bound.kind(which) != "computed":
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


SLACK = 0.01
"""How far a gradient and central differences may be apart, relative to the gradient, beyond rounding and curvature."""
CHANGE_IN_ROUNDING = 4.0
"""The step is chosen so that the loss should change by so many times eps^(2/3) of itself: far above rounding, small
enough for curvature."""


def check_gradients(trace: Trace, n: int, seed: int = 0) -> list[Gradient]:
    """Compare gradients of weights drawn at random (those that matter more, more often) with central differences of
    the loss, each by replaying the forward pass four times (two steps, for the curvature)."""
    generator = np.random.default_rng(seed)
    loss_place = trace.names.places.get("loss")
    made = trace.memory.maker(loss_place, (0,) * len(loss_place.shape)) if loss_place is not None else None
    names = [name for name in trace.names.parameters() if f"{name}:grad" in trace]
    if made is None or not names:
        raise UsageError("there are no gradients to check: this trace has no loss and no backward pass")
    sizes = [trace[f"{name}:grad"].double().abs().flatten().numpy() for name in names]
    chances = np.concatenate(sizes)
    if not chances.sum():
        raise UsageError("there are no gradients to check: all are zero")
    found, ends = [], np.cumsum([len(one) for one in sizes])
    for pick in generator.choice(len(chances), size=n, p=chances / chances.sum()):
        which = int(np.searchsorted(ends, pick, side="right"))
        place = trace.place(names[which])
        index = tuple(int(i) for i in np.unravel_index(pick - ends[which] + len(sizes[which]), place.shape))
        found.append(_check_gradient(trace, names[which], index, made[0]))
    return found


def _check_gradient(trace: Trace, name: str, index: Index, until: int) -> Gradient:
    loss, weight = max(abs(trace["loss"].item()), 1e-3), trace[name][index].item()
    gradient = trace[f"{name}:grad"].reshape(trace.place(name).shape)[index].item()
    coarsest = max(widest(operation) or 0.0 for operation in trace.operations[: until + 1])
    usual = trace[name].double().square().mean().sqrt().item() or 0.1
    step = min(CHANGE_IN_ROUNDING * coarsest ** (2 / 3) * loss / abs(gradient), usual / 64)
    step = max(step, 1e3 * eps(trace.place(name).dtype) * max(abs(weight), usual))
    wide, narrow = (slope_of_loss(trace, name, index, weight, h, until) for h in (2 * step, step))
    allowed = SLACK * abs(gradient) + 8 * coarsest * loss / step + abs(wide - narrow)
    return Gradient(f"{name}:grad", index, gradient, (4 * narrow - wide) / 3, allowed)


def slope_of_loss(trace: Trace, name: str, index: Index, weight: float, step: float, until: int) -> float:
    """Return how much the loss changes for each unit that a weight moves, from a step up and a step down."""
    above, below = (replay(trace, {(name, index): weight + h}, until=until) for h in (step, -step))
    return (above["loss"].item() - below["loss"].item()) / (above[name][index].item() - below[name][index].item())


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
