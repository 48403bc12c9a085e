"""A trace at a glance: its modules, its operations in three lanes, and a search over its addresses."""

from __future__ import annotations

import json

from fastapi import APIRouter, Response
from pydantic import BaseModel

from cutaway.microscope.altered import altered
from cutaway.server.lab import TheLab
from cutaway.server.routes.microscope_common import Number, origins_of, wire

router = APIRouter()


class ModuleRow(BaseModel):
    """A module. Modules come in the order of the tree; the path says where it belongs, "" is the model."""

    path: str
    kind: str
    """Its class, Linear; "" where the trace does not say."""
    out: list[int]
    """What it returned: numbers of addresses."""
    gradient: list[int]
    """The gradients of that."""
    parameters: list[int]
    """Its own parameters and buffers."""
    parameter_count: int
    """With those of the modules inside it, a shared weight once."""
    counts: list[int]
    """Operations in it, not those in modules inside it: forward, backward, optimizer."""
    size_out: Number | None
    """The root mean square of what it returned; null: not measured."""
    size_gradient: Number | None


class OperationColumns(BaseModel):
    """The operations in the order they ran, one list a fact. Views are left out: they compute nothing."""

    number: list[int]
    name: list[int]
    """Into `names`."""
    phase: list[int]
    """0 forward, 1 backward, 2 optimizer."""
    path: list[int]
    """The module: into `paths`."""
    source: list[int]
    """Where in the program: into `sources`."""
    outputs: list[list[int]]
    """Into `addresses`."""
    operands: list[list[int]]
    """What it reads: into `addresses`."""
    forward: list[int]
    """In the backward pass the number of the forward operation it differentiates; -1: none."""


class Overview(BaseModel):
    """A trace at a glance."""

    modules: list[ModuleRow]
    addresses: list[str]
    shapes: list[list[int]]
    """Of each address."""
    kinds: list[str]
    """Of each address: computed, parameter, buffer, input, constant or optimizer state."""
    phases: list[int]
    """Of each address: 0 forward, 1 backward, 2 optimizer, -1 what was there before."""
    names: list[str]
    paths: list[str]
    sources: list[str]
    operations: OperationColumns
    axes: list[str]
    """What the model calls the axes of what it names: `scores BHTS`; of other tensors nobody says."""
    views: int
    """How many views were left out."""


class Address(BaseModel):
    """An address that was searched for."""

    address: str
    shape: list[int]
    phase: str
    """forward, backward or optimizer; "" for what was there before."""
    kind: str
    """parameter, buffer, input, constant, optimizer state, or computed."""


class Addresses(BaseModel):
    """What a search found."""

    found: list[Address]
    total: int
    """How many there are in all, those not sent included."""


@router.get("/microscope/overview", response_model=Overview)
def trace_overview(lab: TheLab, trace: str, edits: str = "") -> Response:
    """Return the modules and the operations of a trace."""
    with altered(trace):
        found = lab.traces.open(
            trace, edits, "backward"
        )  # the sizes of outputs and gradients are all it shows of numbers

    def compute() -> bytes:
        from cutaway.microscope.overview import overview

        made = overview(found.trace)
        for module in made["modules"]:
            for key in ("size_out", "size_gradient"):
                module[key] = None if module[key] is None else wire(module[key])
        return json.dumps(made, separators=(",", ":"), allow_nan=False).encode()

    return Response(found.once("overview", None, compute), media_type="application/json")


@router.get("/microscope/addresses")
def addresses(
    lab: TheLab, trace: str, query: str = "", phase: str = "", module: str = "", limit: int = 50
) -> Addresses:
    """Return the addresses that fit a query, the best first.

    All words of the query must be in the address; else its letters in their order; with a mistake in it, the nearest.
    """
    from cutaway.microscope.search import search

    recorded = lab.traces.open(trace)  # edits change no address
    names, known = recorded.trace.names, origins_of(recorded)
    found = search(known, query, phase, module)
    rows = [
        Address(
            address=address,
            shape=list(names.places[address].shape),
            phase=known[address].phase,
            kind=known[address].kind,
        )
        for address in found[: max(0, min(limit, 1000))]
    ]
    return Addresses(found=rows, total=len(found))
