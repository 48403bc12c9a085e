"""The whole of a trace at a glance: its modules as a nested tree, and its operations in three lanes that line up.

Everything is plain values for a screen. Names, modules and addresses are told once each, in tables, and meant by their
number there: thousands of operations stay a few hundred kilobytes.
"""

from __future__ import annotations

from typing import Any

import torch

from cutaway.microscope.modules import Branch, branches, module_of
from cutaway.microscope.origins import origins
from cutaway.microscope.record import PHASES, Operation, Place, is_empty
from cutaway.microscope.trace import Trace

NORM_UP_TO = 1 << 26
"""Of larger tensors the size is not measured for an overview."""


def overview(trace: Trace) -> dict[str, Any]:
    """Return modules, addresses and operations as plain values; what each holds, `server.routes.microscope` says."""
    table = Table()
    for address, place in trace.names.places.items():
        table.address(address, place)
    own: dict[str, list[str]] = {}
    for name, kind in trace.names.source_kinds.items():
        if kind in ("parameter", "buffer"):
            own.setdefault(name.rpartition(".")[0], []).append(name)
    rows = [
        row(trace, table, operation, module_of(trace, operation.number, operation.phase, operation.module, own))
        for operation in trace.operations
        if not operation.is_view and not is_empty(operation.name)
    ]
    columns = zip(*rows, strict=True) if rows else [[] for _ in COLUMNS]
    known, kinds = origins(trace), classes(trace)
    return {
        "modules": [branch_json(trace, table, one, kinds) for one in flat(branches(trace))],
        "addresses": list(table.addresses),
        "shapes": table.shapes,
        "kinds": [known[address].kind for address in table.addresses],
        "phases": [PHASES.index(known[a].phase) if known[a].phase else -1 for a in table.addresses],
        "names": list(table.names),
        "paths": list(table.paths),
        "sources": list(table.sources),
        "operations": dict(zip(COLUMNS, map(list, columns), strict=True)),
        "axes": [str(one) for one in noted] if isinstance(noted := trace.notes.get("axes"), list) else [],
        "views": sum(operation.is_view for operation in trace.operations),
    }


COLUMNS = ("number", "name", "phase", "path", "source", "outputs", "operands", "forward")


class Table:
    """Texts and their numbers."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self.shapes: list[list[int]] = []
        self.names: dict[str, int] = {}
        self.paths: dict[str, int] = {}
        self.sources: dict[str, int] = {}

    def address(self, address: str, place: Place) -> int:
        """Return an address's number."""
        if address not in self.addresses:
            self.addresses[address] = len(self.addresses)
            self.shapes.append(list(place.shape))
        return self.addresses[address]


def row(trace: Trace, table: Table, operation: Operation, path: str) -> tuple[Any, ...]:
    """Return one operation: its number, and the numbers of all else in the tables."""
    outputs = []
    for which, _ in operation.outputs():
        address = trace.names.results.get((operation.number, which))
        if address:
            outputs.append(table.address(address, trace.names.places[address]))
    operands = []
    for place in dict.fromkeys(place for _, place in operation.operands() if place.numel):
        address = trace.names.of(place, (0,) * len(place.shape))[0]
        operands.append(table.address(address, trace.names.places[address]))
    return (
        operation.number,
        table.names.setdefault(operation.name, len(table.names)),
        PHASES.index(operation.phase),
        table.paths.setdefault(path, len(table.paths)),
        table.sources.setdefault(operation.source, len(table.sources)),
        outputs,
        list(dict.fromkeys(operands)),
        differentiated(trace, operation),
    )


def differentiated(trace: Trace, operation: Operation) -> int:
    """Return the number of the forward operation that one of the backward pass differentiates, -1 for none.

    Of a view, which computes nothing: the operation that computed what it looks at.
    """
    if operation.forward is None:
        return -1
    forward = trace.operations[operation.forward]
    while forward.is_view:
        place = next((p for _, p in forward.operands() if p.numel), None)
        made = trace.memory.maker(place, (0,) * len(place.shape)) if place is not None else None
        if made is None or made[0] >= forward.number:
            return -1
        forward = trace.operations[made[0]]
    return forward.number


def classes(trace: Trace) -> dict[str, str]:
    """Return the class of every module, by its path, where the trace says (`modules` in its notes: "blocks.0 Block")."""
    noted = trace.notes.get("modules")
    said = [str(one).rpartition(" ") for one in noted] if isinstance(noted, list) else []
    return {path: kind for path, _, kind in said}


def flat(root: Branch) -> list[Branch]:
    """Return a tree's modules, each before those inside it."""
    found = [root]
    for child in root.children.values():
        found += flat(child)
    return found


def branch_json(trace: Trace, table: Table, branch: Branch, kinds: dict[str, str]) -> dict[str, Any]:
    """Return one module as plain values; `parent` follows from the path."""
    seen: dict[Place, None] = {}
    for one in flat(branch):
        for name in one.parameters:
            if trace.names.source_kinds.get(name) == "parameter":
                seen[trace.place(name)] = None  # a shared weight counts once
    out = [computed_as(trace, address) for address in branch.out]
    gradients = [f"{address}:grad" for address in out if f"{address}:grad" in trace]
    return {
        "path": branch.path,
        "kind": kinds.get(branch.path, ""),
        "out": [table.address(a, trace.place(a)) for a in out],
        "gradient": [table.address(a, trace.place(a)) for a in gradients],
        "parameters": [table.address(a, trace.place(a)) for a in branch.parameters],
        "parameter_count": sum(place.numel for place in seen),
        "counts": [branch.counts.get(phase, 0) for phase in PHASES],
        "size_out": size(trace, out),
        "size_gradient": size(trace, gradients),
    }


def computed_as(trace: Trace, address: str) -> str:
    """Return the address under which the whole of a tensor was computed: its gradient and its readers go by that one."""
    place = trace.place(address)
    if not place.numel:
        return address
    known = trace.names.of(place, (0,) * len(place.shape))[0]
    return known if trace.place(known).numel == place.numel else address


def size(trace: Trace, addresses: list[str]) -> float | None:
    """Return the usual size (root mean square) of the numbers of the first tensor, None if there is none to measure."""
    if not addresses:
        return None
    place = trace.place(addresses[0])
    if not place.dtype.is_floating_point or not 0 < place.numel <= NORM_UP_TO:
        return None
    values = trace.memory.read(place).float()
    largest = float(values.abs().max())
    if not 0 < largest < torch.inf:
        return largest
    return largest * float((values / largest).square().mean(dtype=torch.float64).sqrt())
