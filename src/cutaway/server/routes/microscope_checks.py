"""What looks wrong in a trace, whether its numbers follow from each other, and how two differ."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.microscope.altered import altered
from cutaway.server.routes.microscope_common import TheTrace

router = APIRouter()


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
