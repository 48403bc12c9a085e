"""`cutaway lens surprisal`: how surprised a model is by every token of a text; two models compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.cli.console import answer_json, parse
from cutaway.cli.explain import paper
from cutaway.cli.lens_model import check_model, open_model, or_none, read_text, written

if TYPE_CHECKING:
    from rich.console import Console
    from rich.style import Style

    from cutaway.lens.surprisal import Comparison, Surprisal

EXAMPLE = 'cutaway lens surprisal stdlib-1 "def add(a, b):" --against gpt2'
STEPS = (1.0, 2.0, 4.0, 8.0)
"""Bits from which on a token is marked darker."""


@dataclass(frozen=True)
class SurprisalArguments:
    """How surprised a model is by every token of a text of any length, in bits; two models compared."""

    model: Annotated[str, tyro.conf.Positional]
    """A run, a checkpoint of one (stdlib-1@400), a model folder, or hf:owner/name."""
    text: Annotated[str, tyro.conf.Positional] = ""
    """The text; `-` takes it from standard input."""
    file: Path | None = None
    """A file with the text instead."""
    against: str | None = None
    """Another model, compared piece by piece; it may cut the text differently."""
    table: bool = False
    """Every token with its numbers."""
    stride: int | None = None
    """Tokens between the beginnings of two windows of a long text; left out: half the model's context. 1: every token
    has as much before it as the model can read, which takes long."""
    json: bool = False
    """Print one JSON object."""


def surprisal(argv: list[str]) -> int:
    """Print the text coloured by surprisal, and the averages."""
    arguments = parse(SurprisalArguments, argv, "lens surprisal", EXAMPLE)
    names = [arguments.model] if arguments.against is None else [arguments.model, arguments.against]
    for name in names:
        check_model(name)
    text = read_text(arguments.text, arguments.file)

    from cutaway.lens.surprisal import compare
    from cutaway.lens.surprisal import surprisal as measure

    found = [measure(*open_model(name), text, arguments.stride) for name in names]
    if arguments.json:
        told: dict[str, Any] = {"models": [{"model": n, **as_json(f)} for n, f in zip(names, found, strict=True)]}
        if len(found) == 2:
            told["pieces"] = comparison_json(compare(*found))
        answer_json(told)
        return 0
    console = paper()
    if len(found) == 1:
        show_text(list(found[0].pieces), (found[0].bits_T).tolist(), console)
        if arguments.table:
            show_tokens(found[0], console)
    else:
        both = compare(*found)
        show_difference(both, names, console)
        if arguments.table:
            show_pieces(both, names, console)
    for name, one in zip(names, found, strict=True):
        console.print(averages(name, one))
    if len(found) == 1 and not arguments.table:
        console.print(f"\nnext     cutaway lens surprisal {arguments.model} ... --table", style="dim")
    return 0


def as_json(found: Surprisal) -> dict[str, Any]:
    """Return one model's surprisals as plain values; what was not computed is null."""
    return {
        "ids": list(found.ids),
        "tokens": list(found.pieces),
        "ends": list(found.ends),
        "bits": [or_none(value) for value in found.bits_T.tolist()],
        "rank": [rank if rank > 0 else None for rank in found.rank_T.tolist()],
        "expected_bits": [or_none(value / math.log(2)) for value in found.entropy_T.tolist()],
        "tokens_before": found.seen_T.tolist(),
        "bits_per_byte": found.bits_per_byte,
        "nats_per_token": found.nats_per_token,
        "total_nats": found.total_nats,
        "tokens_computed": found.n_scored,
        "bytes": found.n_bytes,
        "stride": found.stride,
        "has_bos": found.has_bos,
    }


def comparison_json(both: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values."""
    return {
        "text": list(both.pieces),
        "ends": list(both.ends),
        "bits": [
            [or_none(value / math.log(2)) for value in nats_N.tolist()]
            for nats_N in (both.first_nats_N, both.second_nats_N)
        ],
        "bits_per_byte": both.bits_per_byte,
    }


def averages(name: str, found: Surprisal) -> Any:
    """Return one model's averages in a line."""
    from rich.text import Text as Line

    if found.bits_per_byte is None or found.nats_per_token is None:
        return Line.assemble((name, "bold"), "  nothing computed: the first token of a text needs something before it")
    said = (
        f"  {found.bits_per_byte:.3f} bits per byte, {found.nats_per_token:.3f} nats per token over "
        f"{found.n_scored:,} token{'s' * (found.n_scored != 1)}, {found.n_bytes:,} bytes"
    )
    return Line.assemble((name, "bold"), said, ("" if found.has_bos else "; the first token is not computed", "dim"))


def show_text(pieces: list[str], bits: list[float], console: Console) -> None:
    """Print the text, each token coloured by its bits; without colour, marked where it surprises."""
    from rich.text import Text as Line

    colored = bool(console.color_system) and not console.no_color
    text = Line()
    for piece, value in zip(pieces, bits, strict=True):
        text.append(plain(piece), style=shade(value))
        if not colored and value == value and value >= STEPS[2]:
            text.append(f"[{value:.0f}]")
    console.print(text)
    if colored:
        key = Line("\nbits  ", style="dim")
        for low, high in zip((0.0, *STEPS), (*STEPS, None), strict=True):
            key.append(f" {low:g}{'+' if high is None else f' to {high:g}'} ", style=shade(low + 0.01))
        key.append("  underlined: not computed", style="dim")
        console.print(key)
    else:
        console.print(f"\n[n] behind a token: it surprised the model by n bits ({STEPS[2]:g} or more)")


def plain(piece: str) -> str:
    """Return a token as running text: lines break, other control characters are written out."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in piece)


def shade(bits: float) -> Style:
    """Return the colour of a surprisal."""
    from rich.style import Style

    if bits != bits:
        return Style(underline=True, dim=True)
    tints = ("#f5f5f5", "#fde0c8", "#fbb982", "#f28c3c", "#c24a00")
    level = sum(bits >= step for step in STEPS)
    return Style(color="#ffffff" if level == 4 else "#000000", bgcolor=tints[level])


def show_tokens(found: Surprisal, console: Console) -> None:
    """Print a line a token."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    for name, justify in (("", "right"), ("token", "left"), ("bits", "right"), ("expected", "right"), ("rank", "right"),
                          ("", "left")):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    rows = zip(
        found.pieces,
        found.bits_T.tolist(),
        (found.entropy_T / math.log(2)).tolist(),
        found.rank_T.tolist(),
        strict=True,
    )
    for t, (piece, bits, expected, rank) in enumerate(rows):
        if bits != bits:
            table.add_row(str(t), written(piece), "-", "-", "-", "not computed: nothing before it")
        else:
            table.add_row(
                str(t), written(piece), f"{bits:.2f}", f"{expected:.2f}", f"{rank:,}", "#" * round(min(bits, 40))
            )
    console.print(table)


def show_difference(both: Comparison, names: list[str], console: Console) -> None:
    """Print the text, each piece coloured by which model was more surprised; without colour, marked."""
    from rich.style import Style
    from rich.text import Text as Line

    colored = bool(console.color_system) and not console.no_color
    text = Line()
    for piece, nats in zip(both.pieces, both.difference_N.tolist(), strict=True):
        bits = nats / math.log(2)
        if bits != bits:
            text.append(plain(piece), style=Style(underline=True, dim=True))
            continue
        part = min(1.0, abs(bits) / 6)
        full = (230, 97, 1) if bits > 0 else (65, 105, 205)
        tint = [round(245 + part * (end - 245)) for end in full]
        ink = "#000000" if sum(tint) > 380 else "#ffffff"
        text.append(plain(piece), style=Style(color=ink, bgcolor=f"#{tint[0]:02x}{tint[1]:02x}{tint[2]:02x}"))
        if not colored and abs(bits) >= 2:
            text.append(f"[{bits:+.0f}]")
    console.print(text)
    where = "orange" if colored else "[+n]"
    other = "blue" if colored else "[-n]"
    console.print(f"\n{where}: {names[1]} was more surprised; {other}: {names[0]} was", style="dim")


def show_pieces(both: Comparison, names: list[str], console: Console) -> None:
    """Print a line a piece."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("text")
    for name in (f"{names[0]}, bits", f"{names[1]}, bits", "difference"):
        table.add_column(name, justify="right", overflow="fold")
    rows = zip(
        both.pieces, both.first_nats_N.tolist(), both.second_nats_N.tolist(), both.difference_N.tolist(), strict=True
    )
    for piece, *nats in rows:
        shown = ["-" if value != value else f"{value / math.log(2):.2f}" for value in nats]
        table.add_row(written(piece), *shown)
    console.print(table)
