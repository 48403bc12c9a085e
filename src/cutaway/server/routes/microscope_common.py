"""What all parts of the microscope's answers share: the trace they are about, and numbers that JSON has no word for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel

from cutaway.base.arrays import Number, wire
from cutaway.base.errors import UsageError
from cutaway.microscope.altered import altered
from cutaway.server.lab import TheLab
from cutaway.server.traces import STAGES, OpenTrace, Stage

if TYPE_CHECKING:
    from cutaway.microscope.origins import Origin
    from cutaway.microscope.related import Related


class Cell(BaseModel):
    """A number of a trace."""

    address: str
    index: list[int]


def perhaps(value: float | None) -> Number | None:
    """Return a number as JSON can say it, or None."""
    return None if value is None else wire(value)


def whole_numbers(text: str, what: str) -> list[int]:
    """Return `3,7` as [3, 7].

    Raises:
        UsageError: it is something else.
    """
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    if len(words) > 64 or not all(word.removeprefix("-").isdecimal() and len(word) < 16 for word in words):
        raise UsageError(f"{what} is {text[:60]!r}; expected whole numbers with commas between them, such as 0,2")
    return [int(word) for word in words]


def _open(
    lab: TheLab,
    trace: Annotated[str, Query(description="The trace: its path inside the lab's folder, names-1/traces/1.")],
    edits: Annotated[str, Query(description='Numbers changed: [{"address", "index", "value"}] as JSON.')] = "",
) -> OpenTrace:
    with altered(trace):
        return lab.traces.open(trace, edits, "optimizer")


def _open_for(lab: TheLab, request: Request, trace: str, edits: str = "") -> OpenTrace:
    with altered(trace):
        if not edits:
            return lab.traces.open(trace)
        return lab.traces.open(trace, edits, stage_of(lab.traces.open(trace), request.query_params.get("address", "")))


def _open_around(lab: TheLab, request: Request, trace: str, edits: str = "") -> OpenTrace:
    with altered(trace):
        if not edits:
            return lab.traces.open(trace)
        recorded = lab.traces.open(trace)
        origin = origins_of(recorded).get(request.query_params.get("address", ""))
        is_inside = origin is not None and origin.kind in ("computed", "input") and origin.phase in ("forward", "")
        return lab.traces.open(trace, edits, "backward" if is_inside else "optimizer")


def stage_of(trace: OpenTrace, address: str) -> Stage:
    """Return how far a replay must go for the numbers of a tensor, and all they were made of, to be its own."""
    origin = origins_of(trace).get(address)
    return "optimizer" if origin is None else STAGES[STAGES.index(origin.phase) if origin.phase in STAGES else 0]


TheTrace = Annotated[OpenTrace, Depends(_open)]
"""A route's parameter of this type gets the trace that the request names, with its edits."""
TheTraceUpTo = Annotated[OpenTrace, Depends(_open_for)]
"""The same, replayed only as far as the numbers of `address` need."""
TheTraceAround = Annotated[OpenTrace, Depends(_open_around)]
"""The same, replayed as far as the numbers that use those of `address`, and those that belong to them, need."""


def _index(
    index: Annotated[str, Query(description="Which number: 3,7; empty for a tensor of one number.")] = "",
) -> list[int]:
    return whole_numbers(index, "index")


TheIndex = Annotated[list[int], Depends(_index)]
"""A route's parameter of this type gets the index that the request names."""


def origins_of(trace: OpenTrace) -> dict[str, Origin]:
    """Return where every tensor of a trace came from."""
    from cutaway.microscope.origins import origins

    return trace.origin.once("origins", None, lambda: origins(trace.origin.trace))


def family(trace: OpenTrace, address: str) -> list[Related]:
    """Return the tensors that belong together with one, itself included."""
    from cutaway.microscope.related import base_of, families

    found = trace.origin.once("families", None, lambda: families(trace.origin.trace))
    return found.get(base_of(address)[0], [])
