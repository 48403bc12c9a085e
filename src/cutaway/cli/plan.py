"""`cutaway plan`: what can be trained in how many minutes on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from cutaway.base.errors import UsageError
from cutaway.cli.console import parse

EXAMPLE = "cutaway plan --minutes 5 --data notes/"


@dataclass(frozen=True)
class PlanArguments:
    """Time a few steps of several model sizes on this machine and propose one, with the loss to expect."""

    minutes: float = 2.0
    """How long training may take."""
    data: str = "stdlib"
    """The text: `stdlib`, a file, a folder or a glob pattern."""
    json: bool = False
    """Print one JSON object with every size tried."""


def main(argv: list[str]) -> int:
    """Print the proposals as a table and the command for the best."""
    arguments = parse(PlanArguments, argv, "plan", EXAMPLE)
    if not arguments.minutes > 0:
        raise UsageError(f"minutes is {arguments.minutes}; expected more than 0")
    return 0
