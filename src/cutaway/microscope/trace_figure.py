"""A trace as a figure: its modules, one tensor as a picture, and the arithmetic of one number; the others on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.microscope.formula import lookup
from cutaway.microscope.modules import Branch, branches
from cutaway.microscope.origins import origins
from cutaway.microscope.overview import Table, branch_json, classes, flat
from cutaway.microscope.pooling import block_size, pool
from cutaway.microscope.record import PHASES, is_empty
from cutaway.microscope.search import search
from cutaway.microscope.trace import Trace, to_numpy
from cutaway.notebook.figure import Figure
from cutaway.notebook.still import Still, short

MOST_MODULES = 600
MOST_CELLS = 1 << 16
MOST_TERMS = 24
MOST_FOUND = 40
STILL_ROWS = 40


def trace_figure(trace: Trace, address: str | None, index: Any) -> Figure:
    """Return the trace at a glance.

    Args:
        address: the tensor to show; left out: what the program returned.
        index: the number in it to explain.
    """
    modules = module_rows(trace)
    address = address or usual(trace)
    data: dict[str, Any] = {
        "facts": list(facts(trace).items()),
        "modules": modules[:MOST_MODULES],
        "module_count": len(modules),
    }
    if address is not None:
        at = () if index is None else trace.check_index(address, index)[1]
        data |= tensor(trace, address, at)
        if index is not None:
            data["explanation"] = explanation(trace, address, at)

    def answer(question: Mapping[str, Any]) -> dict[str, Any]:
        given = str(question.get("address", ""))
        what, place = question.get("what"), tuple(int(one) for one in question.get("index", ()))
        if what == "tensor":
            return tensor(trace, given, place)
        if what == "explain":
            return {"explanation": explanation(trace, given, place)}
        if what == "search":
            return {"found": found(trace, str(question.get("text", "")))}
        raise UsageError(f"a trace's figure has no answer to {what!r}")

    return Figure("trace", data, still(trace, modules), answer)


def facts(trace: Trace) -> dict[str, str]:
    """Return how much was recorded, and how much of it has a formula."""
    computing = [one for one in trace.operations if not one.is_view and not is_empty(one.name)]
    counts = Counter(one.phase for one in computing)
    known = {name: lookup(name) is not None for name in {one.name for one in computing}}
    covered = sum(known[one.name] and one.has_formula_kinds for one in computing)
    found = {"operations": ", ".join(f"{counts[phase]:,} {phase}" for phase in PHASES if counts[phase])}
    found["with a formula"] = f"{covered:,} of {len(computing):,}"
    found["tensors"] = f"{len(trace.names.places):,}"
    if "loss" in trace and trace.place("loss").numel == 1:
        found["loss"] = short(float(trace["loss"]), 6)
    if trace.failure:
        found["FAILED"] = trace.failure
    return found


def usual(trace: Trace) -> str | None:
    """Return the tensor that is shown when none is asked for: what the program returned, else the last it computed."""
    outputs = [a for a in branches(trace).out if trace.place(a).numel]
    computed = [a for a, origin in origins(trace).items() if origin.phase == "forward" and trace.place(a).numel > 1]
    return next(iter([*outputs, *reversed(computed), *trace.names.places]), None)


def module_rows(trace: Trace) -> list[dict[str, Any]]:
    """Return the modules in the order of the tree, each with its own tensors."""
    table, kinds = Table(), classes(trace)
    rows = []
    for branch in flat(branches(trace)):
        row = branch_json(trace, table, branch, kinds)
        addresses = list(table.addresses)
        for name in ("out", "gradient", "parameters"):
            row[name] = [addresses[number] for number in row[name]]
        rows.append(row | {"depth": depth(branch)})
    return rows


def depth(branch: Branch) -> int:
    """Return how deep in the tree a module stands: 0 is the model."""
    return branch.path.count(".") + 1 if branch.path else 0


def tensor(trace: Trace, address: str, index: tuple[int, ...]) -> dict[str, Any]:
    """Return the plane of a tensor in which a number stands: its last two axes; very large ones in blocks.

    Args:
        index: an index for every axis; empty: the first plane.
    """
    place = trace.place(address)
    shape = list(place.shape)
    at = list(trace.check_index(address, index)[1]) if index else [0] * len(shape)
    plane = trace.memory.read(place)
    if not all(shape):
        plane = plane.new_zeros(0, 0)
    else:
        for number in at[:-2]:
            plane = plane[number]
    table = to_numpy(plane)
    table = np.atleast_2d(np.abs(table) if np.iscomplexobj(table) else table)
    height, width = block_size(table.shape[0], table.shape[1], MOST_CELLS)
    values = table
    if (height, width) != (1, 1):
        pooled = pool(table, height, width)
        values = np.where(pooled.strange > 0, np.nan, pooled.mean).astype(np.float32)
    origin = origins(trace)[address]
    return {
        "tensor": {
            "address": address,
            "shape": shape,
            "at": at,
            "chosen": bool(index) or not shape,
            "rows": table.shape[0],
            "columns": table.shape[1],
            "block": [height, width],
            "dtype": str(place.dtype).removeprefix("torch."),
            "kind": origin.kind,
            "phase": origin.phase,
            "is_complex": place.dtype.is_complex,
        },
        "values": values,
    }


def explanation(trace: Trace, address: str, index: tuple[int, ...]) -> dict[str, Any]:
    """Return the arithmetic of one number as plain values, its largest terms with the numbers they come from."""
    told = trace.explain(address, index, most=MOST_TERMS)
    return {**told.as_dict(), "listed": len(told.terms)}


def found(trace: Trace, text: str) -> list[dict[str, Any]]:
    """Return the tensors whose address fits a few letters."""
    addresses = search(origins(trace), text)[:MOST_FOUND]
    return [{"address": one, "shape": list(trace.place(one).shape)} for one in addresses]


def still(trace: Trace, modules: list[dict[str, Any]]) -> Still:
    """Return the modules for a terminal."""
    rows = [
        [
            "  " * one["depth"] + (one["path"].rpartition(".")[2] or "the model"),
            one["kind"],
            f"{one['parameter_count']:,}" if one["parameter_count"] else "",
            *(f"{count:,}" if count else "" for count in one["counts"]),
            "" if one["size_out"] is None else short(one["size_out"], 3),
            "" if one["size_gradient"] is None else short(one["size_gradient"], 3),
        ]
        for one in modules[:STILL_ROWS]
    ]
    note = f"the first {STILL_ROWS} of {len(modules)} modules" if len(modules) > STILL_ROWS else ""
    about = "; ".join(f"{name}: {value}" for name, value in facts(trace).items()) + "."
    title = f"Trace of {modules[0]['kind']}" if modules and modules[0]["kind"] else "Trace"
    columns = ["module", "class", "parameters", "forward", "backward", "optimizer", "size of output", "of gradient"]
    return Still(title, columns, rows, about, note)
