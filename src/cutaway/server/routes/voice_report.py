"""What the Report tab asks: whether there is a report, the page itself, and that one be made."""

from __future__ import annotations

import json
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from cutaway.base.errors import DataError
from cutaway.base.runs import RunFolder
from cutaway.server.jobs import Job
from cutaway.server.lab import TheLab
from cutaway.server.voice_folders import read_json

router = APIRouter(prefix="/voice/report")

KIND = "report"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
"""Of the page, which is complete in itself and runs nothing; the lab shows it in a frame."""


class ReportHead(BaseModel):
    """Whether a tuned run has a report, and what it says."""

    run: str
    made: str | None
    """When, UTC; None: there is none yet."""
    verdict: str = ""
    sentence: str = ""
    is_quick: bool = False
    command: str
    """Makes one in a terminal."""


class ReportAsked(BaseModel):
    """How the report is to be made."""

    is_quick: bool = False


@router.get("/{run}")
def report_head(lab: TheLab, run: str) -> ReportHead:
    """Return what a run's report says."""
    folder = lab.run(run)
    told = numbers(folder)
    verdict = told.get("verdict", {})
    return ReportHead(
        run=run,
        made=told.get("made"),
        verdict=verdict.get("name", ""),
        sentence=verdict.get("sentence", ""),
        is_quick=str(told.get("how", "")).startswith("A quick"),
        command=f"cutaway voice report {run}",
    )


@router.get("/{run}/page", response_class=HTMLResponse)
def report_page(lab: TheLab, run: str, theme: Literal["light", "dark", ""] = "") -> HTMLResponse:
    """Return the report as a page, in the lab's theme."""
    from cutaway.voice.report_page import report_page

    folder = lab.run(run)
    told = numbers(folder)
    if not told:
        raise DataError(f"run {run!r} has no report yet; make one with `cutaway voice report {run}`")
    return HTMLResponse(report_page(told, theme), headers={"content-security-policy": POLICY})


@router.post("/{run}")
def make_report(lab: TheLab, run: str, asked: ReportAsked) -> Job:
    """Make a report, as a job."""
    folder = lab.run(run)
    words = ["voice", "report", str(folder.path), *(["--quick"] if asked.is_quick else [])]
    return lab.jobs.submit(words, KIND, folder.name)


def numbers(run: RunFolder) -> dict[str, Any]:
    """Return what report.json holds; nothing where there is none or it is damaged."""
    try:
        return read_json(run.path / "report" / "report.json")
    except (UnicodeDecodeError, json.JSONDecodeError):
        return {}
