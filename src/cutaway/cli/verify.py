"""`cutaway verify`: recompute every number of a trace from its formula and compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from cutaway.base.errors import UsageError
from cutaway.cli.console import answer_json, parse, screen
from cutaway.cli.explain import find_trace, paper
from cutaway.microscope.altered import altered

if TYPE_CHECKING:
    from rich.table import Table

    from cutaway.microscope.verify import Report

EXAMPLE = "cutaway verify runs/stdlib-1/traces/1"


@dataclass(frozen=True)
class VerifyArguments:
    """Recompute every number of a trace in float64; exit code 1 when one differs by more than rounding."""

    trace: Annotated[str, tyro.conf.Positional]
    """The trace's folder, or a run's name for its newest trace."""
    gradients: int = 0
    """Also compare the gradients of so many weights, drawn at random, with what the loss does when the weight moves."""
    json: bool = False
    """Print one JSON object."""


def main(argv: list[str]) -> int:
    """Print a row for each kind of operation, and whether all agree."""
    arguments = parse(VerifyArguments, argv, "verify", EXAMPLE)
    if arguments.gradients < 0:
        raise UsageError(f"--gradients is {arguments.gradients}; expected a number of weights, 0 or more")
    folder = find_trace(arguments.trace)

    from cutaway.microscope.store import load_trace

    trace = load_trace(folder)
    with screen().status("recomputing every number..."), altered(arguments.trace):
        report = trace.verify(arguments.gradients)
    if arguments.json:
        answer_json({"trace": str(folder), **report.as_dict()})
    else:
        console = paper()
        console.print(table(report))
        console.print(f"\n{report}", style="green" if report.ok else "bold red")
    return 0 if report.ok else 1


def table(report: Report) -> Table:
    """Return one row a kind of operation, the worst first; errors in units of the rounding expected."""
    from rich.table import Table

    rows = Table(box=None, pad_edge=False)
    rows.add_column("operation", no_wrap=True)
    for head in ("times", "values checked", "worst error"):
        rows.add_column(head, justify="right")
    rows.add_column("where", overflow="ellipsis", no_wrap=True)
    for name, kind in sorted(report.kinds.items(), key=lambda item: -item[1].worst_error):
        is_checked = kind.values_checked > 0
        error = f"{kind.worst_error:.3g}" if is_checked else "-"
        rows.add_row(name, f"{kind.operations:,}", f"{kind.values_checked:,}", error, kind.worst_address)
    for name in report.opaque:
        rows.add_row(name, "", "no formula", "", "")
    return rows
