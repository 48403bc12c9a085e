"""`cutaway lens layers`: what each layer would say next, at every position (the logit lens)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import UsageError
from cutaway.cli.console import answer_json, parse
from cutaway.cli.explain import paper
from cutaway.cli.lens_model import check_model, open_model, or_none, read_text, say_cut, written

if TYPE_CHECKING:
    from rich.console import Console

    from cutaway.lens.logit_lens import LogitLens

EXAMPLE = 'cutaway lens layers stdlib-1 "def add(a, b):"'
CELL = 10
"""Characters of a cell: a token and its probability."""


@dataclass(frozen=True)
class LayersArguments:
    """What each layer would say next, at every position: the head reads the stream early (the logit lens)."""

    model: Annotated[str, tyro.conf.Positional]
    """A run, a checkpoint of one (stdlib-1@400), a model folder, or hf:owner/name."""
    text: Annotated[str, tyro.conf.Positional] = ""
    """What the model reads; `-` takes it from standard input."""
    file: Path | None = None
    """A file with the text instead."""
    position: int | None = None
    """One position in detail: the likeliest tokens of every layer; -1 is the last."""
    top: int = 5
    """How many of the likeliest tokens to list."""
    mid: bool = False
    """Also between attention and MLP of each block."""
    json: bool = False
    """Print one JSON object."""


def layers(argv: list[str]) -> int:
    """Print a table of layers and positions, or one position in detail."""
    arguments = parse(LayersArguments, argv, "lens layers", EXAMPLE)
    if arguments.top < 1:
        raise UsageError(f"--top is {arguments.top}; expected 1 or more")
    check_model(arguments.model)
    text = read_text(arguments.text, arguments.file)
    model, tokenizer = open_model(arguments.model)

    from cutaway.lens.logit_lens import logit_lens

    found = logit_lens(model, tokenizer, text, arguments.top, arguments.mid)
    T = len(found.prompt.ids)
    position = arguments.position
    if position is not None and not -T <= position < T:
        raise UsageError(f"there is no position {position}; the text has {T} tokens, 0 to {T - 1}")
    if arguments.json:
        answer_json({"model": arguments.model, **layers_json(found)})
        return 0
    console = paper()
    say_cut(found.prompt, console)
    if position is None:
        show_table(found, console)
        console.print(f"\nnext     cutaway lens layers {arguments.model} ... --position -1", style="dim")
    else:
        show_position(found, position % T, console)
    return 0


def layers_json(found: LogitLens) -> dict[str, Any]:
    """Return everything as plain values: lists by place, then position; what was not computed is null."""
    return {
        "ids": list(found.prompt.ids),
        "tokens": list(found.prompt.pieces),
        "cut": found.prompt.cut,
        "places": list(found.places),
        "top": [
            [
                [{"id": i, "text": text, "probability": p} for i, text, p in zip(*cell, strict=True)]
                for cell in zip(*row, strict=True)
            ]
            for row in zip(
                found.top_ids_NTK.tolist(), found.top_pieces, found.top_probability_NTK.tolist(), strict=True
            )
        ],
        "final": {
            "ids": found.final_ids_T.tolist(),
            "tokens": list(found.final_pieces),
            "probability": found.final_probability_NT.tolist(),
            "rank": found.final_rank_NT.tolist(),
        },
        "next": {
            "probability": [[or_none(p) for p in row] for row in found.next_probability_NT.tolist()],
            "rank": [[rank if rank > 0 else None for rank in row] for row in found.next_rank_NT.tolist()],
        },
        "kl_nats": found.kl_NT.tolist(),
        "entropy_nats": found.entropy_NT.tolist(),
    }


def show_table(found: LogitLens, console: Console) -> None:
    """Print what each place would say after each of the last positions, the model's own answer in bold."""
    from rich.text import Text as Line

    T, last = len(found.prompt.ids), len(found.places) - 1
    names = [short(place) for place in found.places]
    label = max(map(len, [*names, "token"]))
    shown = max(1, min(T, (console.width - label - 2) // CELL))
    positions = range(T - shown, T)
    console.print(
        f"{T} token{'s' * (T != 1)}"
        + (f", the last {shown}" if shown < T else "")
        + "; after each, what a layer would say and its probability; * the model's own answer",
        style="dim",
    )
    head = Line(f"{'token':<{label}}  ", style="bold")
    for t in positions:
        head.append(f"{written(found.prompt.pieces[t])[: CELL - 1]:<{CELL}}")
    console.print(head)
    for n in range(last, -1, -1):
        line = Line(f"{names[n]:<{label}}  ", no_wrap=True)
        for t in positions:
            probability = float(found.top_probability_NTK[n, t, 0])
            is_final = int(found.top_ids_NTK[n, t, 0]) == int(found.final_ids_T[t])
            said = written(found.top_pieces[n][t][0])[: CELL - 6]
            line.append(f"{'*' if is_final else ' '}{said:<{CELL - 6}}", style="bold" if is_final else "")
            line.append(f"{probability:>4.0%} ", style=shade(probability))
        console.print(line)
    console.print(
        Line.assemble(
            (f"{'settled':<{label}}  ", "dim"),
            ("".join(f"{names[found.settled_T[t]][: CELL - 1]:<{CELL}}" for t in positions), "dim"),
        )
    )
    console.print("settled: the first place from which on the answer stays the likeliest", style="dim")


def shade(probability: float) -> Any:
    """Return the colour of a probability."""
    from rich.style import Style

    tint = [round(245 + probability * (full - 245)) for full in (230, 97, 1)]
    return Style(color="#000000" if sum(tint) > 380 else "#ffffff", bgcolor=f"#{tint[0]:02x}{tint[1]:02x}{tint[2]:02x}")


def short(place: str) -> str:
    """Return a place as a table has room for it: `embed`, `block 2`, `block 2 mid`."""
    if place == "embed":
        return place
    _, layer, what = place.split(".")
    return f"block {layer}" + (" mid" if what == "resid_mid" else "")


def show_position(found: LogitLens, t: int, console: Console) -> None:
    """Print the likeliest tokens of every place at one position."""
    from rich.table import Table
    from rich.text import Text as Line

    T = len(found.prompt.ids)
    following = written(found.prompt.pieces[t + 1]) if t + 1 < T else None
    console.print(
        Line.assemble(
            ("after ", "dim"),
            (written(found.prompt.pieces[t]), "bold"),
            (f" (position {t}) the model says ", "dim"),
            (written(found.final_pieces[t]), "bold"),
            (f"; what follows is {following}" if following is not None else "; nothing follows yet", "dim"),
        )
    )
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name, justify in (("place", "left"), ("rank", "right"), ("p(answer)", "right"), ("rank next", "right"),
                          ("p(next)", "right"), ("KL nats", "right"), ("entropy", "right")):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("likeliest", overflow="ellipsis", no_wrap=True)
    for n, place in enumerate(found.places):
        likeliest = "  ".join(
            f"{written(piece)} {p:.0%}"
            for piece, p in zip(found.top_pieces[n][t], found.top_probability_NTK[n, t].tolist(), strict=True)
        )
        rank, next_rank = int(found.final_rank_NT[n, t]), int(found.next_rank_NT[n, t])
        table.add_row(
            short(place),
            Line(f"{rank:,}", style="bold green" if rank == 1 else ""),
            f"{float(found.final_probability_NT[n, t]):.4f}",
            "-" if next_rank < 0 else f"{next_rank:,}",
            "-" if next_rank < 0 else f"{float(found.next_probability_NT[n, t]):.4f}",
            f"{float(found.kl_NT[n, t]):.3f}",
            f"{float(found.entropy_NT[n, t]):.2f}",
            likeliest,
        )
    console.print(table)
