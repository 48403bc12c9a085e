"""`cutaway lens induction`: which heads continue what they have seen before, and when in training they learned it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import open_run
from cutaway.cli.console import answer_json, parse, screen
from cutaway.cli.explain import paper
from cutaway.cli.lens_model import check_model, open_model, or_none, read_text

if TYPE_CHECKING:
    from rich.console import Console

    from cutaway.lens.induction import InductionScan

EXAMPLE = "cutaway lens induction stdlib-1 --checkpoints"
HEADS_SHOWN = 12


@dataclass(frozen=True)
class InductionArguments:
    """Which heads continue what they have seen before ("A B ... A" and they say "B"), on sequences that repeat."""

    model: Annotated[str, tyro.conf.Positional]
    """A run, a checkpoint of one (stdlib-1@400), a model folder, or hf:owner/name."""
    text: Annotated[str, tyro.conf.Positional] = ""
    """Take the sequences from this text; `-` reads it from standard input; left out: random tokens."""
    file: Path | None = None
    """A file with the text instead."""
    length: int | None = None
    """Tokens in a half, which then come again; left out: 64, or what fits the model."""
    sequences: int = 16
    """How many sequences."""
    seed: int = 0
    """Of the random numbers."""
    checkpoints: bool = False
    """At every checkpoint the run has kept, to see when the heads appeared."""
    json: bool = False
    """Print one JSON object."""


def induction(argv: list[str]) -> int:
    """Print the heads with their scores, or how the best came about."""
    arguments = parse(InductionArguments, argv, "lens induction", EXAMPLE)
    check_model(arguments.model)
    text = read_text(arguments.text, arguments.file) or None
    settings: dict[str, Any] = {
        "text": text, "length": arguments.length, "n_sequences": arguments.sequences, "seed": arguments.seed
    }  # fmt: skip
    if arguments.checkpoints:
        return walk(arguments, settings)
    model, tokenizer = open_model(arguments.model)

    from cutaway.lens.induction import induction as scan

    found = scan(model, tokenizer, **settings)
    if arguments.json:
        answer_json({"model": arguments.model, **as_json(found)})
        return 0
    show(found, paper())
    return 0


def walk(arguments: InductionArguments, settings: dict[str, Any]) -> int:
    """Print the scores at every checkpoint of a run."""
    try:
        run = open_run(arguments.model)
    except RunError as error:
        raise UsageError(f"--checkpoints needs a run: {error}") from None

    from cutaway.base.runs import RunFolder
    from cutaway.train.checkpoint import list_checkpoints
    from cutaway.workbench import Run

    steps = [int(path.name) for path in list_checkpoints(RunFolder(run.path).checkpoints_folder)]
    if not steps:
        raise UsageError(f"run {run.name!r} has kept no checkpoint; train with --train.keep-checkpoints all")
    found: dict[int, InductionScan] = {}
    console = screen()
    with console.status("") as status:
        for step in steps:
            status.update(f"checkpoint {step:,} of {steps[-1]:,}")
            found |= Run(run.path).induction([step], **settings)
    if arguments.json:
        answer_json({"model": arguments.model, "checkpoints": [{"step": s, **as_json(f)} for s, f in found.items()]})
        return 0
    show_walk(found, paper())
    if len(steps) < 4:
        answer = "only a few checkpoints were kept; --train.keep-checkpoints all keeps every one"
        console.print(answer, style="dim")
    return 0


def as_json(found: InductionScan) -> dict[str, Any]:
    """Return a scan as plain values; what was not computed is null."""
    n_layers, n_heads = found.prefix_LH.shape
    return {
        "source": found.sequences.source,
        "length": found.sequences.length,
        "sequences": len(found.sequences.repeated_BT),
        "seed": found.sequences.seed,
        "induction_heads": found.heads,
        "heads": [
            {
                "head": f"{i}.{h}",
                "is_induction": found.is_induction(i, h),
                "prefix_matching": float(found.prefix_LH[i, h]),
                "control": float(found.control_LH[i, h]),
                "copying": float(found.copying_LH[i, h]),
                "raised_nats": float(found.raised_LH[i, h]),
            }
            for i in range(n_layers)
            for h in range(n_heads)
        ],
        "loss_nats": [or_none(value) for value in found.loss_T.tolist()],
        "control_loss_nats": [or_none(value) for value in found.control_loss_T.tolist()],
        "first_half_nats": found.first_half_nats,
        "second_half_nats": found.second_half_nats,
        "control_second_half_nats": found.control_second_half_nats,
    }


def show(found: InductionScan, console: Console) -> None:
    """Print the heads, the best at matching first, and the loss before and after the seam."""
    from rich.table import Table
    from rich.text import Text as Line

    from cutaway.lens.induction import ENOUGH_COPYING, ENOUGH_MATCHING

    n_heads = found.prefix_LH.shape[1]
    one = found.sequences
    console.print(f"{len(one.repeated_BT)} sequences of {one.length} {one.source}, then the same again", style="dim")
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("head")
    for name in ("prefix matching", "control", "copying", "raises, nats"):
        table.add_column(name, justify="right")
    table.add_column("")
    order = (found.prefix_LH - found.control_LH).flatten().argsort(descending=True).tolist()
    for layer, head in (divmod(place, n_heads) for place in order[:HEADS_SHOWN]):
        is_one = found.is_induction(layer, head)
        table.add_row(
            Line(f"{layer}.{head}", style="bold" if is_one else ""),
            f"{float(found.prefix_LH[layer, head]):.3f}",
            Line(f"{float(found.control_LH[layer, head]):.3f}", style="dim"),
            f"{float(found.copying_LH[layer, head]):+.2f}",
            f"{float(found.raised_LH[layer, head]):+.2f}",
            Line("induction head", style="bold green") if is_one else "",
        )
    console.print(table)
    if len(order) > HEADS_SHOWN:
        console.print(f"{len(order) - HEADS_SHOWN} more heads match less (--json lists them)", style="dim")
    console.print(
        f"an induction head: prefix matching {ENOUGH_MATCHING} or more above its control (the same place where nothing "
        f"repeats), copying {ENOUGH_COPYING} or more",
        style="dim",
    )
    count = len(found.heads)
    console.print(f"\n{count or 'no'} induction head{'s' * (count != 1)}: {', '.join(found.heads)}".rstrip(": "))
    console.print(
        f"loss, nats a token: first half {found.first_half_nats:.3f}, second half {found.second_half_nats:.3f}; "
        f"where the second half repeats nothing {found.control_second_half_nats:.3f}"
    )


def show_walk(found: dict[int, InductionScan], console: Console) -> None:
    """Print the best heads' scores step by step."""
    from rich.table import Table
    from rich.text import Text as Line

    last = found[max(found)]
    n_heads = last.prefix_LH.shape[1]
    gains = [(one.prefix_LH - one.control_LH).flatten() for one in found.values()]
    best = max(gains, key=lambda gain: float(gain.max())) if gains else gains[0]
    order = [divmod(place, n_heads) for place in best.argsort(descending=True).tolist()[:4]]
    console.print(
        f"{len(last.sequences.repeated_BT)} sequences of {last.sequences.length} {last.sequences.source}, then the same "
        f"again; a head: prefix matching above control / copying",
        style="dim",
    )
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("step", justify="right")
    for name in ("first half", "second half", *(f"{i}.{h}" for i, h in order)):
        table.add_column(name, justify="right")
    table.add_column("induction heads")
    for step, one in found.items():
        cells = [
            Line(
                f"{float(one.prefix_LH[i, h] - one.control_LH[i, h]):.2f} / {float(one.copying_LH[i, h]):+.2f}",
                style="bold green" if one.is_induction(i, h) else "",
            )
            for i, h in order
        ]
        halves = (f"{one.first_half_nats:.3f}", f"{one.second_half_nats:.3f}")
        table.add_row(f"{step:,}", *halves, *cells, ", ".join(one.heads) or "-")
    console.print(table)
    for name in last.heads:
        since = first_step(found, name)
        console.print(f"{name} is an induction head from step {since:,} on")
    if not last.heads:
        console.print("no induction head at the last checkpoint")


def first_step(found: dict[int, InductionScan], name: str) -> int:
    """Return the first step from which on a head counts at every checkpoint."""
    since = max(found)
    for step in sorted(found, reverse=True):
        if name not in found[step].heads:
            break
        since = step
    return since
