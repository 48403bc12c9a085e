"""`cutaway lens attention`: where every head looks in a text, and what kind of head it is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.cli.console import answer_json, parse
from cutaway.cli.explain import paper
from cutaway.cli.lens_model import check_model, open_model, or_none, read_text, say_cut, split_head, written

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from cutaway.lens.attention import Attention
    from cutaway.lens.kinds import HeadKinds


@dataclass(frozen=True)
class AttentionArguments:
    """Where every head looks in a text, and what kind of head it is there."""

    model: Annotated[str, tyro.conf.Positional]
    """A run, a checkpoint of one (stdlib-1@400), a model folder, or hf:owner/name."""
    text: Annotated[str, tyro.conf.Positional] = ""
    """What the model reads; `-` takes it from standard input."""
    file: Path | None = None
    """A file with the text instead."""
    head: str | None = None
    """One head, written 2.0 (layer 2, head 0): its whole pattern as a picture."""
    json: bool = False
    """Print one JSON object; with --head, the pattern too."""


def attention(argv: list[str]) -> int:
    """Print the heads with their kinds, or one head's pattern."""
    example = 'cutaway lens attention stdlib-1 "def add(a, b):" --head 1.0'
    arguments = parse(AttentionArguments, argv, "lens attention", example)
    check_model(arguments.model)
    text = read_text(arguments.text, arguments.file)
    model, tokenizer = open_model(arguments.model)

    from cutaway.lens.attention import attention as look
    from cutaway.lens.kinds import head_kinds

    found = look(model, tokenizer, text)
    n_layers, n_heads = found.pattern_LHTS.shape[:2]
    chosen = None if arguments.head is None else split_head(arguments.head, n_layers, n_heads)
    kinds = head_kinds(found)
    if arguments.json:
        answer_json({"model": arguments.model, **attention_json(found, kinds, chosen)})
        return 0
    console = paper()
    say_cut(found.prompt, console)
    if chosen is None:
        show_heads(found, kinds, console)
        if n_layers * n_heads:
            console.print(f"\nnext     cutaway lens attention {arguments.model} ... --head 0.0", style="dim")
    else:
        show_head(found, kinds, chosen, console)
    return 0


def attention_json(found: Attention, kinds: HeadKinds, chosen: tuple[int, int] | None) -> dict[str, Any]:
    """Return the kinds and scores of the heads as plain values; what was not measured is null."""
    n_layers, n_heads = found.pattern_LHTS.shape[:2]
    pairs = [(i, h) for i in range(n_layers) for h in range(n_heads)] if chosen is None else [chosen]
    return {
        "ids": list(found.prompt.ids),
        "tokens": list(found.prompt.pieces),
        "cut": found.prompt.cut,
        "positions": dict(zip(kinds.kinds, kinds.positions_K, strict=True)),
        "heads": [
            {
                "head": f"{i}.{h}",
                "kind": kinds.best(i, h),
                "scores": dict(zip(kinds.kinds, map(or_none, kinds.score_LHK[i, h].tolist()), strict=True)),
            }
            for i, h in pairs
        ],
        **({} if chosen is None else {"pattern": found.pattern_LHTS[chosen].tolist()}),
    }


def show_heads(found: Attention, kinds: HeadKinds, console: Console) -> None:
    """Print a line a head: its kind, its scores, where the last token looks."""
    from rich.table import Table
    from rich.text import Text as Line

    T = len(found.prompt.ids)
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("head")
    table.add_column("kind")
    for kind in kinds.kinds:
        table.add_column(kind.removesuffix(" token"), justify="right")
    table.add_column(f"the last token {written(found.prompt.pieces[-1])!r} looks at", overflow="ellipsis", no_wrap=True)
    n_layers, n_heads = found.pattern_LHTS.shape[:2]
    for layer in range(n_layers):
        for head in range(n_heads):
            best = kinds.best(layer, head)
            cells = [
                score_cell(score, kind == best)
                for kind, score in zip(kinds.kinds, kinds.score_LHK[layer, head].tolist(), strict=True)
            ]
            looks = looks_at(found, found.pattern_LHTS[layer, head, -1], 3)
            table.add_row(f"{layer}.{head}", Line(best or "-", style="bold" if best else "dim"), *cells, looks)
    console.print(
        f"{T} token{'s' * (T != 1)}; scores: 1 all of a head's attention, 0 chance, - nothing to measure it on",
        style="dim",
    )
    console.print(table)
    counted = ", ".join(f"{kind} {n}" for kind, n in zip(kinds.kinds, kinds.positions_K, strict=True))
    console.print(f"positions measured: {counted}", style="dim")


def score_cell(score: float, is_best: bool) -> Any:
    """Return a score as a table shows it."""
    from rich.text import Text as Line

    if score != score:
        return Line("-", style="dim")
    return Line(f"{score:.2f}", style="bold green" if is_best else "" if score >= 0.2 else "dim")


def looks_at(found: Attention, row_S: Tensor, most: int) -> str:
    """Return the places with the largest shares of a row: `·def 63 % (4)`, the position in brackets."""
    n = min(most, int((row_S > 0.005).sum()))
    shares, places = row_S.topk(n)
    pairs = zip(shares.tolist(), places.tolist(), strict=True)
    return "   ".join(f"{written(found.prompt.pieces[s])} {share:.0%} ({s})" for share, s in pairs)


def show_head(found: Attention, kinds: HeadKinds, chosen: tuple[int, int], console: Console) -> None:
    """Print one head's pattern: a row a position, a digit a place it reads."""
    from rich.text import Text as Line

    layer, head = chosen
    pattern_TS = found.pattern_LHTS[chosen]
    T = len(pattern_TS)
    scores = zip(kinds.kinds, kinds.score_LHK[chosen].tolist(), strict=True)
    said = ", ".join(f"{kind} {'-' if score != score else f'{score:.2f}'}" for kind, score in scores)
    console.print(
        Line.assemble(
            (f"head {layer}.{head}", "bold"), f"  {kinds.best(layer, head) or 'no kind of ours'}  ", (said, "dim")
        )
    )
    names = [written(piece) for piece in found.prompt.pieces]
    label = min(14, max(map(len, names)))
    room = max(8, console.width - label - len(str(T)) - 4 - 34)
    first = max(0, T - room)
    console.print(
        "a digit is tenths of the row's attention (9: nine tenths or more), . less than half a tenth"
        + (f"; positions {first} to {T - 1} of {T}" if first else ""),
        style="dim",
    )
    for t in range(first, T):
        line = Line(f"{t:>{len(str(T))}} {names[t][:label]:<{label}}  ", no_wrap=True)
        for s in range(first, t + 1):
            line.append(*share_cell(float(pattern_TS[t, s])))
        line.append(" " * (T - 1 - t) + "  ")
        line.append(looks_at(found, pattern_TS[t], 2), style="dim")
        console.print(line, overflow="ellipsis")


def share_cell(share: float) -> tuple[str, Any]:
    """Return a share's digit and its colour."""
    from rich.style import Style

    tint = [round(245 + share * (full - 245)) for full in (230, 97, 1)]
    ink = "#000000" if sum(tint) > 380 else "#ffffff"
    digit = "." if share < 0.05 else str(min(9, round(share * 10)))
    if share < 0.05:
        return digit, Style(dim=True)
    return digit, Style(color=ink, bgcolor=f"#{tint[0]:02x}{tint[1]:02x}{tint[2]:02x}")
