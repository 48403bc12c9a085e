"""A tensor: a part of it as numbers or in blocks, what its numbers are like, where it came from, what belongs to it."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from cutaway.base.errors import UsageError
from cutaway.microscope.altered import altered
from cutaway.microscope.pooling import block_size, pool
from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.routes.microscope_common import Number, TheTraceUpTo, family, perhaps, stage_of, whole_numbers
from cutaway.server.traces import OpenTrace

if TYPE_CHECKING:
    from cutaway.microscope.trace import Trace

router = APIRouter()
MOST_CELLS = 1 << 20
MOST_POOLED = 16
"""Tables of blocks that are kept: one that is scrolled over is asked for again."""
STATISTICS_AT_ONCE = 1 << 18
"""Statistics of tensors up to this size come with the tensor; of larger ones when asked for."""


class Axis(BaseModel):
    """An axis of a tensor."""

    size: int
    letter: str
    """B, T, C and so on, where the model says; else ""."""
    meaning: str
    """batch, positions and so on, where the model says; else ""."""


class TensorStatistics(BaseModel):
    """What a tensor's finite numbers are like; null: it has none."""

    count: int
    finite: int
    zeros: int
    undefined: int
    infinite: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    deviation: float | None
    norm: Number | None
    quantiles: list[float]
    """At 0, 1, 5, 25, 50, 75, 95, 99 and 100 %."""
    sampled: int
    """How many numbers the quantiles were taken from, if not all; else 0."""
    edges: list[float]
    """The histogram: one edge more than counts."""
    counts: list[int]


class Relative(BaseModel):
    """A tensor that belongs to another: its gradient, the optimizer's state."""

    role: str
    """value, gradient, new value, update, or the optimizer's own word such as `exp_avg after`."""
    address: str
    shape: list[int]


class TensorMeta(BaseModel):
    """What is said of a part of a tensor. Arrays: `values`, or in blocks `mean`, `low`, `high` and `strange`."""

    address: str
    shape: list[int]
    dtype: str
    axes: list[Axis]
    rows: int | None
    """The axis whose indices are the rows of the table; null: it has one row."""
    columns: int | None
    at: list[int]
    """The index of the part on every axis; those of rows and columns are not used."""
    first_row: int
    last_row: int
    """The part's first row, and one after its last."""
    first_column: int
    last_column: int
    block_rows: int
    """1 by 1: `values` are the numbers themselves. Else each cell of `mean`, `low` and `high` is of the finite numbers of a
    block of so many rows and columns (fewer at the end); `strange` is how many of it are infinite or undefined."""
    block_columns: int
    shown: str
    """values, magnitude (of complex numbers), or difference (`other` less this)."""
    kind: str
    """computed, parameter, buffer, input, constant, optimizer state."""
    phase: str
    operation: str
    """That made it; "" if it was there before."""
    number: int
    """The operation's number; -1 if it was there before."""
    module: str
    source: str
    operands: list[str]
    """The addresses the operation read."""
    related: list[Relative]
    statistics: TensorStatistics | None
    """null: not computed yet, ask /api/microscope/statistics."""


@dataclass
class View:
    """Which part of a tensor is asked for."""

    rows: Annotated[int | None, Query(description="Axis of the rows; left out: the last but one; -1: none.")] = None
    columns: Annotated[int | None, Query(description="Axis of the columns; left out: the last.")] = None
    at: Annotated[str, Query(description="An index for every axis, 0,3,0,0; left out: all 0.")] = ""
    first_row: int = 0
    last_row: Annotated[int | None, Query(description="One after the last; left out: to the end.")] = None
    first_column: int = 0
    last_column: int | None = None
    most: Annotated[int, Query(description="How many cells at most; more are put together in blocks.")] = MOST_CELLS
    most_blocks: Annotated[int, Query(description="How many blocks then; left out: as many.")] = MOST_CELLS


@router.get("/microscope/tensor", **with_arrays(TensorMeta))
def tensor(
    lab: TheLab,
    trace: TheTraceUpTo,
    address: str,
    view: Annotated[View, Depends()],
    other: Annotated[str | None, Query(description="Another trace: what is shown is its numbers less these.")] = None,
    other_edits: str = "",
) -> ArraysResponse:
    """Return a part of a tensor: the numbers themselves where they fit, else blocks of them."""
    beside = None
    if other is not None:
        beside = lab.traces.open(other, other_edits, stage_of(lab.traces.open(other), address))
    with altered(trace.name):
        return part_of(trace, address, view, beside)


@router.get("/microscope/statistics")
def tensor_statistics(trace: TheTraceUpTo, address: str) -> TensorStatistics:
    """Return what a tensor's numbers are like."""
    trace.trace.place(address)
    with altered(trace.name):
        return statistics_of(trace, address)


def part_of(trace: OpenTrace, address: str, view: View, beside: OpenTrace | None) -> ArraysResponse:
    """Return a part of a tensor, or of how it differs from that of another trace."""
    place = trace.trace.place(address)
    table, rows, columns, at = table_of(trace.trace, address, view)
    shown = "magnitude" if np.iscomplexobj(table) else "values"
    if beside is not None:
        table, shown = difference(table, trace, beside, address, view), "difference"
    elif shown == "magnitude":
        table = np.abs(table)
    arrays: dict[str, Any] = {"values": table}
    is_exact = table.size <= view.most
    most = max(1, view.most if is_exact else min(view.most, view.most_blocks))
    height, width = block_size(table.shape[0], table.shape[1], most)
    if (height, width) != (1, 1):
        key = address, astuple(view), beside and beside.serial
        pooled = trace.once("pooled", key, lambda: pool(table, height, width), most=MOST_POOLED)
        arrays = {"mean": pooled.mean, "low": pooled.low, "high": pooled.high, "strange": pooled.strange}
    known = trace.known("statistics", address)
    if known is None and place.numel <= STATISTICS_AT_ONCE:
        known = statistics_of(trace, address)
    meta = TensorMeta(
        **described(trace, address),
        rows=rows,
        columns=columns,
        at=at,
        first_row=view.first_row,
        last_row=view.first_row + table.shape[0],
        first_column=view.first_column,
        last_column=view.first_column + table.shape[1],
        block_rows=height,
        block_columns=width,
        shown=shown,
        statistics=None if shown == "difference" else known,
    )
    return ArraysResponse(meta, arrays)


def table_of(trace: Trace, address: str, view: View) -> tuple[np.ndarray[Any, Any], int | None, int | None, list[int]]:
    """Return the part of a tensor that a view asks for, the axes of its rows and columns, and the index of the rest.

    Raises:
        UsageError: an axis, an index or a range that the tensor does not have.
    """
    from cutaway.microscope.trace import to_numpy

    place = trace.place(address)
    shape = list(place.shape)
    rows, columns = axes_of(address, len(shape), view)
    at = whole_numbers(view.at, "at") if view.at else [0] * len(shape)
    if len(at) != len(shape):
        raise UsageError(f"{address} has shape {shape}; at= needs {len(shape)} indices and has {len(at)}")
    part: list[int | slice] = []
    for axis, (size, index) in enumerate(zip(shape, at, strict=True)):
        if axis in (rows, columns):
            is_row = axis == rows
            first, last = (view.first_row, view.last_row) if is_row else (view.first_column, view.last_column)
            last = size if last is None else last
            if not 0 <= first <= last <= size:
                what = "row" if is_row else "column"
                raise UsageError(f"{address} has {size} {what}s on axis {axis}; there is no part {first} to {last}")
            part.append(slice(first, last))
        elif not 0 <= index < size:
            raise UsageError(f"{address} has shape {shape}; there is no index {index} on axis {axis}")
        else:
            part.append(index)
    found = to_numpy(trace.memory.read(place)[tuple(part)])
    if rows is not None and columns is not None and rows > columns:
        found = found.T
    height = 1 if rows is None else found.shape[0]
    width = 1 if columns is None else found.shape[-1]
    return found.reshape(height, width), rows, columns, at


def axes_of(address: str, n: int, view: View) -> tuple[int | None, int | None]:
    """Return the axes of the rows and of the columns: the last two unless others are asked for."""
    columns = view.columns if view.columns is not None else n - 1
    rows = view.rows
    if rows is None:
        rows = next((axis for axis in (n - 2, n - 1) if axis >= 0 and axis != columns), -1)
    for axis in (rows, columns):
        if not -1 <= axis < n:
            raise UsageError(f"{address} has {n} axes; there is no axis {axis} (they count from 0, -1 is none)")
    if rows == columns and rows != -1:
        raise UsageError(f"rows and columns of {address} are both axis {rows}; take two")
    return None if rows == -1 else rows, None if columns == -1 else columns


def difference(
    table: np.ndarray[Any, Any], trace: OpenTrace, beside: OpenTrace, address: str, view: View
) -> np.ndarray[Any, Any]:
    """Return the other trace's part less this one's, in float64; the same infinities differ by nothing."""
    if beside.trace.place(address).shape != trace.trace.place(address).shape:
        ours, theirs = list(trace.trace.place(address).shape), list(beside.trace.place(address).shape)
        raise UsageError(
            f"{address} has shape {ours} in {trace.name} and {theirs} in {beside.name}: no difference to show"
        )
    others = table_of(beside.trace, address, view)[0]
    if np.iscomplexobj(table):
        return np.abs(others - table).astype(np.float64)
    wide, others = table.astype(np.float64), others.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where((wide == others) | (np.isnan(wide) & np.isnan(others)), 0.0, others - wide)


def described(trace: OpenTrace, address: str) -> dict[str, Any]:
    """Return what a tensor is and where it came from."""
    place, names = trace.trace.place(address), trace.trace.names
    made = trace.trace.memory.maker(place, (0,) * len(place.shape)) if place.numel else None
    operation = trace.trace.operations[made[0]] if made is not None else None
    operands = [p for _, p in operation.operands() if p.numel] if operation is not None else []
    return {
        "address": address,
        "shape": list(place.shape),
        "dtype": str(place.dtype).removeprefix("torch."),
        "axes": axes_named(trace, address),
        "kind": names.source_kinds.get(address, "constant") if operation is None else "computed",
        "phase": "" if operation is None else operation.phase,
        "operation": "" if operation is None else operation.name,
        "number": -1 if operation is None else operation.number,
        "module": "" if operation is None else operation.module,
        "source": "" if operation is None else operation.source,
        "operands": list(dict.fromkeys(names.of(p, (0,) * len(p.shape))[0] for p in operands)),
        "related": relatives(trace, address),
    }


def relatives(trace: OpenTrace, address: str) -> list[Relative]:
    """Return the tensors that belong to one, itself left out."""
    return [
        Relative(role=one.role, address=one.address, shape=list(trace.trace.place(one.address).shape))
        for one in family(trace, address)
        if one.address != address
    ]


def axes_named(trace: OpenTrace, address: str) -> list[Axis]:
    """Return the axes with what the model calls them, where it says (`axes` in a trace's notes: "scores BHTS")."""
    from cutaway.base.notation import AXES
    from cutaway.microscope.related import base_of

    shape = trace.trace.place(address).shape
    value, rest = base_of(address)
    field = value.rpartition(".")[2].partition("#")[0]
    noted = trace.trace.notes.get("axes")
    said = [str(one).partition(" ") for one in noted] if isinstance(noted, list) else []
    letters = next((axes for name, _, axes in said if name == field and len(axes) == len(shape)), "")
    if rest not in ("", "grad"):
        letters = ""
    return [
        Axis(size=size, letter=letter, meaning=AXES.get(letter, ""))
        for size, letter in zip(shape, letters or [""] * len(shape), strict=True)
    ]


def statistics_of(trace: OpenTrace, address: str) -> TensorStatistics:
    """Return what a tensor's numbers are like; computed once."""

    def compute() -> TensorStatistics:
        from cutaway.microscope.statistics import statistics

        found = statistics(trace.trace.memory.read(trace.trace.place(address)))
        return TensorStatistics(**{**asdict(found), "norm": perhaps(found.norm)})

    return trace.once("statistics", address, compute, most=2000)
