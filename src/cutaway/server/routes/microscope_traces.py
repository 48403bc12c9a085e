"""The list of traces: what there is, record another, delete one."""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.server.lab import TheLab
from cutaway.server.routes.microscope_common import Number, perhaps

router = APIRouter()


class TraceFacts(BaseModel):
    """A trace, as a line of a list."""

    name: str
    """Its path inside the lab's folder: what `trace=` takes."""
    run: str
    """The run it is of; empty for a trace that was copied here."""
    model: str
    text: str
    tokens: list[str]
    """The text as the model reads it."""
    checkpoint: int | None
    """The step of the checkpoint it was recorded from; null for the best weights, or where nobody said."""
    recorded: float
    """When, in seconds since 1970."""
    size_bytes: int
    operations: dict[str, int]
    """How many in each phase."""
    addresses: int
    loss: Number | None
    """null: it has none."""
    failure: str
    """What the recorded program failed with; empty if it did not."""
    problem: str
    """Why the trace cannot be opened; empty if it can."""


@router.get("/traces")
def traces(lab: TheLab, run: str = "") -> list[TraceFacts]:
    """Return all traces of the lab, or of one run, the newest first."""
    names = [name for name in lab.traces.names() if not run or name.split("/")[0] == run]
    return [trace_facts(name, lab.traces.facts(name)) for name in names]


def trace_facts(name: str, found: dict[str, Any]) -> TraceFacts:
    """Return a trace as a line of a list; notes may be anybody's."""
    notes = found["notes"]
    first, *others = name.split("/")
    checkpoint = notes.get("checkpoint")
    tokens = notes.get("tokens")
    return TraceFacts(
        name=name,
        run=first if others and first != "traces" else "",
        model=os.path.basename(str(notes.get("model", ""))),
        text=str(notes.get("text", "")),
        tokens=[str(one) for one in tokens] if isinstance(tokens, list) else [],
        checkpoint=checkpoint if type(checkpoint) is int else None,
        recorded=found["recorded"],
        size_bytes=found["size_bytes"],
        operations=found["operations"],
        addresses=found["addresses"],
        loss=perhaps(found["loss"]),
        failure=found["failure"],
        problem=found["problem"],
    )


@router.delete("/traces/{name:path}")
def delete_trace(lab: TheLab, name: str) -> None:
    """Delete a trace."""
    lab.traces.delete(name)
