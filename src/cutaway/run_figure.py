"""A run as a figure: its curves, and how it stands."""

from __future__ import annotations

from cutaway.base.columns import JsonColumns
from cutaway.base.runs import RunFolder
from cutaway.notebook.figure import Figure
from cutaway.notebook.still import Still, short
from cutaway.run_facts import LOSS_UNITS, RunFacts, facts

MOST_ROWS = 12
SHOWN = ("loss", "validation_loss", "bits_per_byte", "grad_norm")


def run_figure(run: RunFolder) -> Figure:
    """Return everything that was measured, as curves."""
    columns = JsonColumns(run.path / "metrics.jsonl").refresh()
    numbers = {name: columns.dense(name) for name in columns.names}
    told = facts(run, columns)
    return Figure(
        "run",
        {"name": run.name, "kind": told.kind, "facts": list(words(told).items()), **numbers},
        still(told, columns),
    )


def words(told: RunFacts) -> dict[str, str]:
    """Return how a run stands, in words."""
    of = f" of {told.total_steps:,}" if told.total_steps else ""
    best = f" (step {told.best_step:,})" if told.best_step is not None else ""
    is_text = told.kind == "text"
    unit = f" {LOSS_UNITS[told.kind]}".removesuffix(" a token") if LOSS_UNITS[told.kind] else ""
    found = {
        "status": told.status + (f": {told.reason}" if told.reason else ""),
        "steps": f"{told.steps:,}{of}",
        "tokens" if is_text else "pictures": f"{told.tokens:,}",
        "parameters": f"{told.parameters:,}" if told.parameters else "",
        "time": f"{told.seconds:.0f} s" if told.seconds < 120 else f"{told.seconds / 60:.1f} min",
        "best validation loss": f"{short(told.validation_loss)}{unit}{best}"
        if told.validation_loss is not None
        else "",
        "bits per byte": short(told.bits_per_byte) if told.bits_per_byte is not None else "",
        "text" if is_text else "pictures of": told.source or "",
    }
    return {name: value for name, value in found.items() if value}


def still(told: RunFacts, columns: JsonColumns) -> Still:
    """Return the losses for a terminal: the measured steps, or some of them."""
    names = [name for name in SHOWN if len(columns.measured(name)[0])]
    rows, _ = columns.measured("validation_loss")
    at = list(rows) if len(rows) else list(range(columns.n_rows))
    if len(at) > MOST_ROWS:
        at = [at[round(i * (len(at) - 1) / (MOST_ROWS - 1))] for i in range(MOST_ROWS)]
    steps, numbers = columns.dense("step"), {name: columns.dense(name) for name in names}
    lines = {}
    for name in ("loss", "validation_loss"):
        measured, values = columns.measured(name)
        if len(measured):
            lines[name.replace("_", " ")] = (steps[measured], values)
    return Still(
        f"Run {told.name}",
        ["step", *(name.replace("_", " ") for name in names)],
        [
            [f"{steps[i]:.0f}", *("" if numbers[n][i] != numbers[n][i] else short(numbers[n][i]) for n in names)]
            for i in at
        ],
        "; ".join(f"{name} {value}" if name != "status" else value for name, value in words(told).items()),
        lines=lines,
    )
