"""`cutaway runs`: list, show, compare and remove runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from cutaway.base.errors import UsageError, suggest
from cutaway.base.runs import RunFolder, list_runs, open_run, runs_folder
from cutaway.cli.console import answer, answer_json, parse
from cutaway.run_facts import differences, facts

ACTIONS = ("list", "show", "compare", "remove")
EXAMPLE = "cutaway runs compare stdlib-1 stdlib-2"


@dataclass(frozen=True)
class RunsArguments:
    """List runs, show one, compare several (losses and the differences of their recipes), or remove some."""

    words: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """`list` (or nothing), `show RUN`, `compare RUN RUN ...`, `remove RUN ...`."""
    json: bool = False
    """Print one JSON object."""


def main(argv: list[str]) -> int:
    """Do one of the four and print the result on standard output."""
    arguments = parse(RunsArguments, argv, "runs", EXAMPLE)
    action, names = (arguments.words[0], arguments.words[1:]) if arguments.words else ("list", ())
    if action not in ACTIONS:
        raise UsageError(
            f"there is no `cutaway runs {action}`{suggest(action, ACTIONS)}; there is {', '.join(ACTIONS)}"
        )
    if action != "list" and len(names) < (2 if action == "compare" else 1):
        raise UsageError(f"`cutaway runs {action}` needs {'two or more runs' if action == 'compare' else 'a run'}")
    runs = [open_run(name) for name in names] if names else list_runs()
    if action == "list":
        described = [describe(run) for run in runs]
        if arguments.json:
            answer_json({"folder": str(runs_folder()), "runs": described})
        elif not described:
            answer(f"no runs in {runs_folder()}; make one: cutaway train stdlib")
        else:
            answer(table(described))
    elif action == "show":
        if arguments.json:
            answer_json({"runs": [describe(run) | {"recipe": str(run.recipe_file)} for run in runs]})
        else:
            answer("\n\n".join(show(run) for run in runs))
    elif action == "compare":
        if arguments.json:
            answer_json({"runs": [describe(run) for run in runs], "differences": differences(runs)})
        else:
            answer(table([describe(run) for run in runs]) + "\n\n" + difference_text(runs))
    else:
        for run in runs:
            run.remove()
        if arguments.json:
            answer_json({"removed": [str(run.path) for run in runs]})
        else:
            answer("\n".join(f"removed {run.path}" for run in runs))
    return 0


def describe(run: RunFolder) -> dict[str, Any]:
    """Return the facts of one run; what is not known is left out where the table does not need it."""
    known = dataclasses.asdict(facts(run))
    return {name: value for name, value in known.items() if value is not None or name in COLUMNS}


COLUMNS = ("name", "status", "steps", "loss", "validation_loss", "bits_per_byte", "seconds", "parameters")


def table(described: list[dict[str, Any]]) -> str:
    """Return runs as a plain table, aligned, without colour."""
    heads = [column.replace("_", " ") for column in COLUMNS]
    rows = [[cell(fact[column]) for column in COLUMNS] for fact in described]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = []
    for row in [heads, *rows]:
        left = [text.ljust(width) for text, width in zip(row[:2], widths[:2], strict=True)]
        right = [text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(left + right).rstrip())
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Return a fact as text; what was not measured is a dash, never a zero."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if value < 100 else f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def show(run: RunFolder) -> str:
    """Return one run's facts, its losses as a line of blocks, and its last sample."""
    known = describe(run)
    lines = [f"{name.replace('_', ' '):<16} {cell(known[name])}" for name in COLUMNS]
    lines += [f"{name:<16} {known[name]}" for name in ("reason", "advice") if name in known]
    losses = [line["validation_loss"] for line in run.metrics() if "validation_loss" in line]
    if len(losses) > 1:
        lines.append(f"{'held-out loss':<16} {losses[0]:.3f} {blocks(losses)} {losses[-1]:.3f}")
    lines.append(f"{'folder':<16} {run.path}")
    if known["status"] in ("stopped", "failed"):
        lines.append(f"{'go on':<16} cutaway train {run.path}")
    if samples := run.samples():
        lines += ["", f"last sample (step {samples[-1]['step']:,}):", samples[-1]["text"]]
        if picture := samples[-1].get("picture"):
            lines.append(str(run.path / picture))
    return "\n".join(lines)


def blocks(values: list[float]) -> str:
    """Return numbers as a row of bars, lowest to highest."""
    low, high = min(values), max(values)
    marks = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
    return "".join(marks[round((value - low) / max(high - low, 1e-12) * 7)] for value in values)


def difference_text(runs: list[RunFolder]) -> str:
    """Return the differences of the recipes, a setting a line."""
    found = differences(runs)
    if not found:
        return "the recipes are the same"
    width = max(map(len, found))
    return "\n".join(
        ["the recipes differ in"]
        + [f"  {name:<{width}}  {'  |  '.join(map(str, values))}" for name, values in found.items()]
    )
