"""One number: what made it, who used it, what belongs to it, and the way its gradient came."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from cutaway.base.errors import UsageError
from cutaway.microscope.altered import altered
from cutaway.server.routes.microscope_common import (
    Cell,
    Number,
    TheIndex,
    TheTraceAround,
    TheTraceUpTo,
    family,
    origins_of,
    perhaps,
    wire,
)
from cutaway.server.traces import OpenTrace

router = APIRouter()
MOST_TERMS = 1000
MOST_BRANCHES = 400
"""Numbers in a tree of reasons."""


class ExplainedTerm(BaseModel):
    """One contribution to a number."""

    value: Number
    """What it adds."""
    weight: Number
    """What the number it comes from is multiplied by, or the local derivative."""
    address: str
    index: list[int]
    number: Number | None
    """The number it comes from; null: a complex one."""
    others: list[Cell]
    """The recorded numbers that the weight is made of, where it is a product of some."""


class ExplainedNumber(BaseModel):
    """The arithmetic of one number."""

    address: str
    """Where the number is known from: a part of a parameter leads to the parameter."""
    index: list[int]
    shape: list[int]
    value: Number | None
    """null: a complex number, see `text`."""
    text: str
    """All digits."""
    dtype: str
    kind: str
    """computed, parameter, buffer, input, constant, optimizer state, drawn (at random), unset, opaque (no formula)."""
    operation: str
    formula: str
    latex: str
    numbers: str
    """The formula with its numbers."""
    terms: list[ExplainedTerm]
    """The largest first, from `start` on."""
    start: int
    n_terms: int
    rest: Number
    """What the terms after the last one sent add up to."""
    size: Number
    """What all terms add up to, signs left out: a term's share is its size of this."""
    adds_up: bool
    """Whether the terms, the rest and the constant add up to the number; else they are first-order shares."""
    constant: Number
    """What the formula adds that comes from no number."""
    recomputed: Number | None
    difference: Number | None
    allowed: Number
    """How far rounding may have moved the recorded number."""
    verdict: str
    """agrees, DIFFERS, or nothing to recompute."""
    phase: str
    module: str
    source: str
    tree: Any = None
    """The formula as nested lists, if asked for."""


class UsedBy(BaseModel):
    """An operation that reads a number, and what of one of its results depends on it."""

    operation: int
    name: str
    phase: str
    module: str
    argument: str
    """By which name it reads it: self, mat2, tensors.3."""
    address: str
    """Of the result."""
    shape: list[int]
    first: list[list[int]]
    """The indices there that depend on it, the first ones."""
    count: int | None
    """How many do; null: the operation has no formula, nobody knows which."""
    value: Number | None
    """The first one's number."""


class Users(BaseModel):
    """Who used a number."""

    uses: list[UsedBy]


class AcrossNumber(BaseModel):
    """A number that belongs to another."""

    role: str
    """value, gradient, `exp_avg before`, `exp_avg after`, `update: mul` (on the way), update (as applied: new value less
    value), new value."""
    address: str
    """"" for the update as applied, which is a difference."""
    index: list[int]
    value: Number


class AcrossNumbers(BaseModel):
    """The numbers that belong together with one, itself included."""

    numbers: list[AcrossNumber]


class ReasonNode(BaseModel):
    """A number in the tree of what made a number. Nodes come parents first; the root's parent is -1."""

    parent: int
    address: str
    index: list[int]
    value: Number | None
    operation: str
    kind: str
    share: Number
    """Of what the contributions to its parent add up to, signs left out."""
    left_out: Number
    """The share of its own contributions that were not followed."""


class Reasons(BaseModel):
    """The largest contributions to a number, and theirs."""

    nodes: list[ReasonNode]


class PathLink(BaseModel):
    """A gradient on the way from the loss."""

    address: str
    index: list[int]
    value: Number
    local: Number
    """What it was multiplied by to reach the next one."""


class GradientPath(BaseModel):
    """The way of a gradient from the loss, along the largest contribution at each step."""

    links: list[PathLink]


@router.get("/microscope/explain")
def explain_number(
    trace: TheTraceUpTo,
    address: str,
    index: TheIndex,
    start: Annotated[int, Query(ge=0, description="The first term to send.")] = 0,
    most: Annotated[int, Query(ge=0, le=MOST_TERMS, description="How many terms to send.")] = 50,
    tree: Annotated[bool, Query(description="Send the formula as nested lists too.")] = False,
) -> ExplainedNumber:
    """Return the arithmetic that made one number."""
    with altered(trace.name):
        return explained(trace, address, index, start, most, tree)


def explained(trace: OpenTrace, address: str, index: list[int], start: int, most: int, tree: bool) -> ExplainedNumber:
    """Return the arithmetic that made one number."""
    found = trace.trace.explain(address, index, most=start + most if start + most else 1)
    place = trace.trace.place(found.address)
    value: Any = found.value
    is_complex = isinstance(value, complex)
    terms = [
        ExplainedTerm(
            value=wire(term.value),
            weight=wire(term.weight),
            address=term.address,
            index=list(term.index),
            number=number_at(trace, term.address, term.index),
            others=[Cell(address=other, index=list(at)) for other, at in term.others],
        )
        for term in found.terms[start : start + most]
    ]
    more = found.terms[start + most :]
    answer = ExplainedNumber(
        address=found.address,
        index=list(found.index),
        shape=list(place.shape),
        value=None if is_complex else wire(value),
        text=repr(value),
        dtype=str(place.dtype).removeprefix("torch."),
        kind=found.kind,
        operation=found.operation,
        formula=found.formula,
        latex=found.latex,
        numbers=found.numbers,
        terms=terms,
        start=start,
        n_terms=max(found.n_terms, len(found.terms)),
        rest=wire(found.rest + sum(term.value for term in more)),
        size=wire(found.size),
        adds_up=found.adds_up,
        constant=wire(found.constant),
        recomputed=perhaps(found.recomputed),
        difference=perhaps(found.difference),
        allowed=wire(found.allowed),
        verdict=found.verdict,
        phase=found.phase,
        module=found.module,
        source=found.source,
    )
    if tree and found.formula:
        from cutaway.microscope.bound_json import plain_tree
        from cutaway.microscope.formula import lookup

        formula = lookup(found.operation)
        answer.tree = None if formula is None else plain_tree(formula.as_json())
    return answer


def number_at(trace: OpenTrace, address: str, index: Any) -> Number | None:
    """Return one recorded number."""
    from cutaway.microscope.explain import number

    value: Any = number(trace.trace, trace.trace.place(address), tuple(index))
    return None if isinstance(value, complex) else wire(value)


@router.get("/microscope/users")
def users(
    trace: TheTraceAround,
    address: str,
    index: TheIndex,
    most: Annotated[int, Query(ge=1, le=1000, description="How many indices to send of each.")] = 20,
) -> Users:
    """Return every later operation that reads a number."""
    from cutaway.microscope.users import used_by

    with altered(trace.name):
        found = used_by(trace.trace, address, tuple(index), most, trace.readers)
        uses = [
            UsedBy(
                operation=one.operation,
                name=one.name,
                phase=one.phase,
                module=one.module,
                argument=one.argument,
                address=one.address,
                shape=list(trace.trace.place(one.address).shape),
                first=[list(at) for at in one.first],
                count=one.count,
                value=number_at(trace, one.address, one.first[0]) if one.first else None,
            )
            for one in found
        ]
    return Users(uses=uses)


@router.get("/microscope/across")
def across_number(trace: TheTraceAround, address: str, index: TheIndex) -> AcrossNumbers:
    """Return the numbers that belong to one: its gradient; of a weight also averages, update and new value."""
    from cutaway.microscope.related import across

    _, inside = trace.trace.check_index(address, index)
    with altered(trace.name):
        found = across(trace.trace, family(trace, address), address, inside)
    return AcrossNumbers(
        numbers=[
            AcrossNumber(role=one.role, address=one.address, index=list(one.index), value=wire(one.value))
            for one in found
        ]
    )


@router.get("/microscope/why")
def why_number(
    trace: TheTraceUpTo,
    address: str,
    index: TheIndex,
    depth: Annotated[int, Query(ge=1, le=12)] = 3,
    most: Annotated[int, Query(ge=1, le=10, description="How many contributions to follow of each number.")] = 3,
) -> Reasons:
    """Return the largest contributions to a number, and theirs, down to a depth."""
    if sum(most**level for level in range(depth + 1)) > MOST_BRANCHES:
        raise UsageError(
            f"{most} contributions of each number, {depth} steps back, are more than {MOST_BRANCHES} numbers; ask for fewer"
        )
    nodes: list[ReasonNode] = []

    def add(reason: Any, parent: int) -> None:
        e = reason.explanation
        value: Any = e.value
        nodes.append(
            ReasonNode(
                parent=parent,
                address=e.address,
                index=list(e.index),
                value=None if isinstance(value, complex) else wire(value),
                operation=e.operation,
                kind=e.kind,
                share=wire(reason.share),
                left_out=wire(reason.left_out),
            )
        )
        own = len(nodes) - 1
        for part in reason.parts:
            add(part, own)

    with altered(trace.name):
        add(trace.trace.why(address, index, depth, most), -1)
    return Reasons(nodes=nodes)


@router.get("/microscope/gradient_path")
def gradient_path(trace: TheTraceUpTo, address: str, index: TheIndex) -> GradientPath:
    """Return the way of a gradient from the loss, along the largest contribution at each step."""
    trace.trace.check_index(address, index)
    if origins_of(trace)[address].phase != "backward":
        raise UsageError(
            f"{address} is not a gradient; the gradient of a weight is called {address.partition(':')[0]}:grad"
        )
    with altered(trace.name):
        found = trace.trace.gradient_path(address, tuple(index))
    return GradientPath(
        links=[
            PathLink(address=one.address, index=list(one.index), value=wire(one.value), local=wire(one.local))
            for one in found
        ]
    )
