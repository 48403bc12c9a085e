"""What looks wrong in a trace, whether its numbers follow from each other, and how two differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ValidationError

from cutaway.base.files import write_text
from cutaway.microscope.altered import altered
from cutaway.server.lab import Lab, TheLab
from cutaway.server.routes.microscope_common import Number, TheTrace, origins_of, wire
from cutaway.server.traces import VERIFIED, OpenTrace, Work, read_edits, stamp

if TYPE_CHECKING:
    from cutaway.microscope.diff import Differences, Moved
    from cutaway.microscope.origins import Origin
    from cutaway.microscope.trace import Trace

router = APIRouter()
EARLY_SHARE = 0.3
"""How much of comparing with a replay is done when the forward and backward pass are."""
WAIT_SECONDS = 1.0
"""How long an answer waits for work that is nearly done before it says `running`."""


class TraceFinding(BaseModel):
    """Something to look at."""

    kind: str
    """non-finite, no gradient, zero gradient, exploding, vanishing, dead or saturated."""
    address: str
    index: list[int]
    """Empty: the whole tensor."""
    message: str


class Findings(BaseModel):
    """What looks wrong, the gravest first."""

    findings: list[TraceFinding]


class VerifiedKind(BaseModel):
    """One kind of operation."""

    name: str
    operations: int
    values_checked: int
    worst_error: Number
    """In units of the rounding expected; above 4 would be wrong."""
    worst_address: str


class VerifiedReport(BaseModel):
    """What recomputing every number found."""

    ok: bool
    operations: int
    explained: int
    drawn: int
    """Of the explained: drawn at random or empty, with nothing to recompute."""
    views: int
    opaque: list[str]
    """Names of operations without a formula."""
    values_checked: int
    worst_error: Number
    worst_address: str
    wrong: list[str]
    """Addresses whose numbers do not follow from their operands."""
    kinds: list[VerifiedKind]
    """The worst first."""


class Verification(BaseModel):
    """Whether every number of a trace follows from those it was made of."""

    state: Literal["not started", "running", "done", "failed"]
    share: float
    """How much is done, 0 to 1."""
    reason: str
    """Why it failed."""
    report: VerifiedReport | None


class MovedTensor(BaseModel):
    """A tensor that is not the same in two traces."""

    address: str
    shape: list[int]
    phase: str
    kind: str
    largest: Number
    """The largest change of a number in it."""
    index: list[int]
    """Where."""
    before: Number | None
    """That number in `trace`."""
    after: Number | None
    """And in `other`."""
    mean: Number
    """The mean size of the changes, those of 0 included."""
    changed: int
    """How many numbers changed."""
    scale: Number
    """The largest number before, signs left out: what the change may be compared with."""


class TraceDiff(BaseModel):
    """How two traces differ."""

    state: Literal["running", "done", "failed"]
    share: float
    reason: str
    moved: list[MovedTensor]
    """The largest change first, or in the order of the program. While it runs: those found so far."""
    total: int
    """How many tensors differ, those not sent included."""
    same: int
    """How many tensors are the same."""
    only_before: list[str]
    """Addresses that only `trace` has; the first ones."""
    only_after: list[str]
    reshaped: list[str]
    """In both, but of another shape: not compared; the first ones."""


@router.get("/microscope/findings")
def findings(trace: TheTrace) -> Findings:
    """Return what looks wrong in a trace."""

    def compute() -> Findings:
        with altered(trace.name):
            found = trace.trace.diagnose()
        return Findings(
            findings=[
                TraceFinding(kind=one.kind, address=one.address, index=list(one.index), message=one.message)
                for one in found
            ]
        )

    return trace.once("findings", None, compute)


@router.get("/microscope/verify")
def verification(lab: TheLab, trace: TheTrace) -> Verification:
    """Return how far verifying a trace is, or what it found."""
    return verified(lab, trace)


@router.post("/microscope/verify")
def verify(lab: TheLab, trace: TheTrace) -> Verification:
    """Recompute every number of a trace from its formula, in the background."""
    if verified(lab, trace).state != "done":
        if (known := trace.known("verify", None)) is not None and known.state == "failed":
            trace.forget("verify", None)
        trace.work("verify", None, lambda progress: verify_all(lab, trace, progress)).wait(WAIT_SECONDS)
    return verified(lab, trace)


def verify_all(lab: Lab, trace: OpenTrace, progress: Callable[[float], None]) -> VerifiedReport:
    """Recompute everything; what was found about a recorded trace is kept beside it."""
    from cutaway.microscope.verify import verify

    with altered(trace.name):
        found = verify(trace.trace, 0, progress)
    kinds = sorted(found.kinds.items(), key=lambda kind: -kind[1].worst_error)
    report = VerifiedReport(
        ok=found.ok,
        operations=found.operations,
        explained=found.explained,
        drawn=found.drawn,
        views=found.views,
        opaque=found.opaque,
        values_checked=found.values_checked,
        worst_error=wire(found.worst_error),
        worst_address=found.worst_address,
        wrong=found.wrong,
        kinds=[
            VerifiedKind(
                name=name,
                operations=one.operations,
                values_checked=one.values_checked,
                worst_error=wire(one.worst_error),
                worst_address=one.worst_address,
            )
            for name, one in kinds
        ],
    )
    if trace.origin is trace:
        folder = lab.traces.folder(trace.name)
        write_text(folder / VERIFIED, json.dumps({"of": stamp(folder), "report": report.model_dump()}) + "\n")
    return report


def verified(lab: Lab, trace: OpenTrace) -> Verification:
    """Return how far verifying is, without starting it."""
    work: Work | None = trace.known("verify", None)
    if work is not None:
        return Verification(state=work.state, share=work.share, reason=work.reason, report=work.result)
    report = None
    if trace.origin is trace:
        folder = lab.traces.folder(trace.name)
        try:
            kept = json.loads((folder / VERIFIED).read_text(encoding="utf-8"))
            if kept["of"] == list(stamp(folder)):
                report = VerifiedReport.model_validate(kept["report"])
        except (OSError, ValueError, LookupError, TypeError, ValidationError):
            pass
    state: Literal["done", "not started"] = "not started" if report is None else "done"
    return Verification(state=state, share=float(report is not None), reason="", report=report)


@router.get("/microscope/diff")
def diff(
    lab: TheLab,
    trace: TheTrace,
    other: Annotated[
        str, Query(description="The trace to compare with: changes are its numbers less those of `trace`.")
    ],
    other_edits: str = "",
    order: Annotated[Literal["largest", "relative", "program"], Query(description="What comes first.")] = "largest",
    phase: Annotated[str, Query(description="Only those of a phase.")] = "",
    limit: Annotated[int, Query(ge=0, le=20000)] = 200,
) -> TraceDiff:
    """Return which tensors differ between two traces: edited and original, two checkpoints, two models."""
    read_edits(other_edits)
    known = origins_of(trace)
    recorded = lab.traces.open(other)
    key = recorded.serial, other_edits

    def compute(progress: Callable[[float], None]) -> tuple[OpenTrace, Differences]:
        from cutaway.microscope.diff import compare

        with altered(trace.name):
            if other_edits:  # what an optimizer made of it comes later: it takes longest
                beside = lab.traces.open(other, other_edits, "backward")
                early[:] = [
                    (beside, compare(trace.trace, beside.trace, wanted=lambda a: known[a].phase != "optimizer"))
                ]
                progress(EARLY_SHARE)
            beside = lab.traces.open(other, other_edits)
            return beside, compare(trace.trace, beside.trace, lambda share: progress(EARLY_SHARE * (1 - share) + share))

    early: list[tuple[OpenTrace, Differences]] = trace.once("early diff", key, list)
    work = trace.work("diff", key, compute)
    work.wait(WAIT_SECONDS)
    if work.state == "failed":
        trace.forget("diff", key)
    beside, found = work.result or (early[0] if early else (recorded, None))
    names = trace.trace.names
    moved = [] if found is None else [one for one in found.moved if not phase or known[one.address].phase == phase]
    if order == "relative":
        moved.sort(key=lambda one: -(one.largest / one.scale if one.scale else float("inf")))
    elif order == "program":
        at = {address: n for n, address in enumerate(names.places)}
        moved.sort(key=lambda one: at[one.address])
    return TraceDiff(
        state=work.state,
        share=work.share,
        reason=work.reason,
        moved=[moved_tensor(trace.trace, beside.trace, one, known[one.address]) for one in moved[:limit]],
        total=len(moved),
        same=0 if found is None else found.same,
        only_before=[] if found is None else found.only_before[:1000],
        only_after=[] if found is None else found.only_after[:1000],
        reshaped=[] if found is None else found.reshaped[:1000],
    )


def moved_tensor(before: Trace, after: Trace, one: Moved, origin: Origin) -> MovedTensor:
    """Return a tensor that differs, for a list."""
    from cutaway.microscope.explain import number

    place = before.place(one.address)
    numbers: list[Any] = [number(t, t.place(one.address), one.index) for t in (before, after)]
    old, new = (None if isinstance(value, complex) else wire(value) for value in numbers)
    return MovedTensor(
        address=one.address,
        shape=list(place.shape),
        phase=origin.phase,
        kind=origin.kind,
        largest=wire(one.largest),
        index=list(one.index),
        before=old,
        after=new,
        mean=wire(one.mean),
        changed=one.changed,
        scale=wire(one.scale),
    )
