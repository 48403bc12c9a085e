"""Where a number came from: its formula in symbols and in numbers, its terms, and whether it comes out again.

A term points at the number it was made from by address and index, so one can go on from there: from a gradient to an
activation to a weight to the token that chose it. `why` goes on by itself along the largest contributions;
`gradient_path` follows a gradient back to the loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from cutaway.microscope.formula import lookup
from cutaway.microscope.record import Index, Place
from cutaway.microscope.trace import Trace


@dataclass(frozen=True)
class Term:
    """One contribution to a number."""

    value: float
    """What it adds."""
    weight: float
    """What the number it comes from is multiplied by (in a sum of products), or the local derivative."""
    address: str
    index: Index
    others: tuple[tuple[str, Index], ...] = ()
    """The recorded numbers that the weight is made of, where it is a product of some."""


@dataclass(frozen=True)
class Explanation:
    """The arithmetic of one number."""

    address: str
    index: Index
    value: float
    """As the machine computed it."""
    kind: str
    """computed, parameter, input, constant, drawn (at random), given (memory nobody filled) or opaque (no formula)."""
    operation: str = ""
    formula: str = ""
    latex: str = ""
    numbers: str = ""
    """The formula with its numbers."""
    terms: list[Term] = field(default_factory=list)
    """The largest contribution first; of a very long sum the largest ones."""
    n_terms: int = 0
    """How many there are, those not listed included."""
    rest: float = 0.0
    """What the terms not listed add up to."""
    size: float = 0.0
    """What all terms add up to, signs left out."""
    adds_up: bool = False
    """Whether the terms, what is left out and the constant add up to the number; else they are first-order shares."""
    constant: float = 0.0
    """What the formula adds that comes from no number."""
    recomputed: float | None = None
    """By the formula, in float64."""
    allowed: float = 0.0
    """How far rounding may have moved the recorded number."""
    phase: str = ""
    module: str = ""
    source: str = ""

    @property
    def difference(self) -> float | None:
        """Recorded less recomputed."""
        return None if self.recomputed is None else self.value - self.recomputed

    @property
    def verdict(self) -> str:
        """Whether the formula gives the recorded number."""
        if self.recomputed is None:
            return "nothing to recompute"
        same = self.value == self.recomputed or (np.isnan(self.value) and np.isnan(self.recomputed))
        return "agrees" if same or abs(self.value - self.recomputed) <= self.allowed else "DIFFERS"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "terms"}
        terms = [
            {
                "value": t.value,
                "weight": t.weight,
                "address": t.address,
                "index": list(t.index),
                "others": [{"address": address, "index": list(index)} for address, index in t.others],
            }
            for t in self.terms
        ]
        return plain | {
            "index": list(self.index),
            "terms": terms,
            "difference": self.difference,
            "verdict": self.verdict,
        }

    def __str__(self) -> str:
        place = f"{self.address}{list(self.index)}"
        lines = [f"{place} = {self.value!r}"]
        if self.operation:
            lines.append(f"  {self.phase}: {self.operation} in {self.module or 'the model'}  {self.source}".rstrip())
        if self.formula:
            lines += [f"  {self.formula}", f"  {self.numbers}"]
        for term in self.terms[:8]:
            weight = " * ".join(f"{address}{list(index)}" for address, index in term.others)
            weight = f"{term.weight:.6g}{f' ({weight})' if weight else ''}"
            lines.append(f"  {term.value:>14.6g} = {term.address}{list(term.index)} * {weight}")
        if self.n_terms > 8:
            rest = self.rest + sum(term.value for term in self.terms[8:])
            lines.append(f"  {rest:>14.6g} = {self.n_terms - 8:,} more terms")
        if self.recomputed is not None:
            lines.append(f"  recomputed {self.recomputed!r}, difference {self.difference:.3g}: {self.verdict}")
        elif self.kind != "computed":
            lines.append(f"  {self.kind}: {self.verdict}")
        return "\n".join(lines)


MOST_TERMS = 500
"""Terms of a sum that are listed unless more are asked for."""


def explain(trace: Trace, address: str, index: Any = (), most: int = MOST_TERMS) -> Explanation:
    """Return how one number was made.

    Args:
        most: how many terms to list; what the others add up to is told as `rest`.

    Raises:
        UsageError: no such address, or no number at that index.
    """
    place, index = trace.check_index(address, index)
    value = number(trace, place, index)
    made = trace.memory.maker(place, index)
    if made is None:
        source, inside = trace.names.of(place, index)
        return Explanation(source if source != address else address, inside, value, trace.names.kind_of_source(source))
    n, which, inside = made
    operation = trace.operations[n]
    where: dict[str, Any] = {"phase": operation.phase, "module": operation.module, "source": operation.source}
    formula = lookup(operation.name) if operation.has_formula_kinds else None
    if formula is None:
        terms = [
            Term(float("nan"), float("nan"), *trace.names.of(p, (0,) * len(p.shape)))
            for _, p in operation.operands()
            if p.numel
        ]
        return Explanation(address, index, value, "opaque", operation.name, terms=terms, **where)
    bound = formula.bind(*trace.bind(operation), eps=eps(place.dtype) or None)
    at = bound.at(which, inside)
    common: dict[str, Any] = {
        "operation": operation.name,
        "formula": str(formula),
        "latex": formula.latex(which),
        **where,
    }
    if at.value is None:
        return Explanation(address, index, value, at.kind, **common)
    places = dict(operation.operands()) | {f"out{i or ''}": p for i, p in operation.outputs()}
    terms = [
        Term(
            t.value,
            t.weight,
            *trace.names.of(places[t.operand], t.index),
            tuple(trace.names.of(places[other], index) for other, index in t.others if other in places),
        )
        for t in at.largest(most)
        if t.operand in places
    ]
    allowed = SAFETY * (eps(place.dtype) * at.rounding + tiny(place.dtype))
    return Explanation(
        address,
        index,
        value,
        "computed",
        numbers=at.numbers,
        terms=terms,
        n_terms=sum(len(column.values) for column in at.columns) + at.rest_count,
        rest=at.rest + sum(float(column.values.sum()) for column in at.columns) - sum(term.value for term in terms),
        size=abs(at.rest) + sum(float(np.abs(column.values).sum()) for column in at.columns),
        adds_up=at.kind == "sum of products",
        constant=at.constant,
        recomputed=at.value,
        allowed=allowed,
        **common,
    )


SAFETY = 4.0
"""Kernels may add up in another order and use faster functions than the analysis assumes."""


def number(trace: Trace, place: Place, index: Index) -> float:
    """Return one recorded number."""
    return trace.memory.read(place)[index].item()


def eps(dtype: torch.dtype) -> float:
    """Return the relative rounding step of a dtype (0 for whole numbers)."""
    return torch.finfo(dtype).eps if dtype.is_floating_point else 0.0


def tiny(dtype: torch.dtype) -> float:
    """Return the smallest normal number of a dtype (0 for whole numbers)."""
    return torch.finfo(dtype).tiny if dtype.is_floating_point else 0.0


@dataclass(frozen=True)
class Reason:
    """A number, and the largest numbers it was made of, and theirs."""

    explanation: Explanation
    share: float
    """Of what the contributions to the number above add up to, signs left out."""
    parts: list[Reason]
    left_out: float
    """The share of the contributions not followed."""

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, before: str = "") -> list[str]:
        """Return the tree as text."""
        e = self.explanation
        lines = [f"{before}{self.share:6.1%}  {e.address}{list(e.index)} = {e.value:.6g}  {e.operation or e.kind}"]
        for part in self.parts:
            lines += part.lines(before + "    ")
        if self.parts and self.left_out > 0.0005:
            lines.append(f"{before}    {self.left_out:6.1%}  the rest")
        return lines


def why(trace: Trace, address: str, index: Any, depth: int, most: int, share: float = 1.0) -> Reason:
    """Return the largest contributions to a number, and to those, down to a depth."""
    e = explain(trace, address, index)
    if depth == 0 or not e.terms or e.kind != "computed":
        return Reason(e, share, [], 0.0)
    whole = e.size if np.isfinite(e.size) and e.size else 1.0
    parts = [
        why(trace, term.address, term.index, depth - 1, most, abs(term.value) / whole)
        for term in e.terms[:most]
        if np.isfinite(term.value)
    ]
    return Reason(e, share, parts, 1.0 - sum(part.share for part in parts))


@dataclass(frozen=True)
class Link:
    """One gradient on the way from the loss to a weight."""

    address: str
    index: Index
    value: float
    local: float
    """What it was multiplied by to reach the next one."""


def gradient_path(trace: Trace, address: str, index: Any, most: int = 200) -> list[Link]:
    """Return the chain of gradients from the loss to one gradient, along the largest contribution at each step.

    Args:
        address: of a gradient, `lm_head.weight:grad`.
    """
    links = []
    local = 1.0
    for _ in range(most):
        e = explain(trace, address, index)
        links.append(Link(e.address, e.index, e.value, local))
        upstream = [
            (term, *read)
            for term in e.terms
            for read in ((term.address, term.index), *term.others)
            if trace.names.phase_of(read[0]) == "backward" and np.isfinite(term.value)
        ]
        if not upstream:
            break
        term, address, index = upstream[0]
        above = number(trace, *trace.check_index(address, index))
        local = term.value / above if above else term.weight
    return links[::-1]
