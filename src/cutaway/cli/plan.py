"""`cutaway plan`: what can be trained in how many minutes on this machine, and to what loss."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cutaway.base.errors import UsageError
from cutaway.cli.console import answer, answer_json, parse, screen

if TYPE_CHECKING:
    from cutaway.train.plan import Proposal

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
    if not 0 < arguments.minutes < float("inf"):
        raise UsageError(f"minutes is {arguments.minutes}; expected more than 0")

    from cutaway import budget, presets
    from cutaway.text.config import DataConfig
    from cutaway.train.distributed import pick_device

    recipe = presets.characters(DataConfig(source=arguments.data), 60 * arguments.minutes)
    with screen().status("timing a few steps of each size..."):
        corpus, tokenizer, encoded = budget.read_text(recipe)
        proposals = budget.propose_sizes(recipe, corpus, encoded, tokenizer, pick_device("auto"))
    best = proposals[0]
    command = f"cutaway train stdlib --train.minutes {arguments.minutes:g}"
    if arguments.data != "stdlib":
        command += f" --data.source {arguments.data}"
    if arguments.json:
        answer_json(
            {"text": corpus.describe(), "proposals": [facts(proposal) for proposal in proposals], "command": command}
        )
        return 0
    answer(corpus.describe())
    answer(f"fastest here: {best.pace.precision}, {best.pace.threads} thread(s)\n")
    answer(table(proposals))
    expected = f"about {best.bits_per_byte:.2f} bits a byte"
    answer(f"\nin {arguments.minutes:g} minutes, `{best.rung.name}` should reach {expected}:")
    answer(f"  {command}")
    return 0


def facts(proposal: Proposal) -> dict[str, Any]:
    """Return a proposal as plain facts."""
    rung = dataclasses.asdict(proposal.rung)
    return {
        **{name: rung[name] for name in ("name", "d_model", "n_layers", "n_heads", "context_length", "batch_size")},
        "precision": proposal.pace.precision,
        "threads": proposal.pace.threads,
        "milliseconds_per_step": 1000 * proposal.pace.seconds_per_step,
        "steps": proposal.steps,
        "tokens": proposal.tokens,
        "expected_bits_per_byte": proposal.bits_per_byte,
    }


def table(proposals: list[Proposal]) -> str:
    """Return the proposals, best first, as a plain table."""
    rows = [("size", "shape", "context", "ms a step", "steps", "tokens", "expected bits a byte")]
    for proposal in proposals:
        rung = proposal.rung
        rows.append(
            (
                rung.name,
                f"{rung.n_layers} x {rung.d_model}",
                f"{rung.context_length}",
                f"{1000 * proposal.pace.seconds_per_step:.0f}",
                f"{proposal.steps:,}",
                f"{proposal.tokens / 1e6:.1f}M",
                f"{proposal.bits_per_byte:.2f}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
