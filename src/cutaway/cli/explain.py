"""`cutaway explain`: a number of a trace with the arithmetic that made it, or a tensor as a picture."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import RunError, TraceError, UsageError
from cutaway.base.runs import open_run
from cutaway.cli.console import answer, answer_json, parse
from cutaway.microscope.altered import altered

if TYPE_CHECKING:
    from rich.console import Console
    from rich.tree import Tree

    from cutaway.microscope.explain import Explanation, Reason
    from cutaway.microscope.trace import Trace

EXAMPLE = 'cutaway explain runs/stdlib-1/traces/1 "lm_head.weight:grad[3,7]" --why 3'
TERMS_SHOWN = 12


@dataclass(frozen=True)
class ExplainArguments:
    """Show a number of a trace with its formula and where it came from, or a whole tensor."""

    trace: Annotated[str, tyro.conf.Positional]
    """The trace's folder, or a run's name for its newest trace."""
    address: Annotated[str, tyro.conf.Positional] = ""
    """`loss`, `blocks.0.attn.pattern[0,2]` (a part), `lm_head.weight:grad[3,7]` (one number)."""
    why: int = 0
    """Follow the largest contributions so many steps back, to weights and data."""
    all_terms: bool = False
    """Every term of a sum, not the largest ones."""
    list: str | None = None
    """Print the addresses that begin with this; "" prints all."""
    json: bool = False
    """Print one JSON object."""


def main(argv: list[str]) -> int:
    """Print it on standard output."""
    arguments = parse(ExplainArguments, argv, "explain", EXAMPLE)
    if arguments.why < 0:
        raise UsageError(f"--why is {arguments.why}; expected a number of steps back, 1 or more")
    if not arguments.address and arguments.list is None:
        raise UsageError('explain what? give an address, such as `loss`; --list "" prints them all')
    folder = find_trace(arguments.trace)

    from cutaway.microscope.store import load_trace

    trace, console = load_trace(folder), paper()
    if arguments.list is not None:
        return list_addresses(trace, arguments.list, arguments.json)
    address, given = split_address(arguments.address)
    check_address(trace, address)
    index = check_part(address, given, trace.place(address).shape)
    with altered(arguments.trace):
        show(trace, address, index, console, arguments)
    return 0


def show(trace: Trace, address: str, index: tuple[int, ...], console: Console, arguments: ExplainArguments) -> None:
    """Print a tensor, a number, or what made a number."""
    shape = trace.place(address).shape
    if len(index) < len(shape):
        if arguments.why:
            raise UsageError(f"--why follows one number; {address} has shape {list(shape)}, give {len(shape)} indices")
        show_tensor(trace, address, index, console, arguments)
    elif arguments.why:
        reason = trace.why(address, index, depth=arguments.why)
        if arguments.json:
            answer_json(reason_json(reason))
        else:
            console.print(reason_tree(reason))
    else:
        explanation = trace.explain(address, index, most=10**9 if arguments.all_terms else None)
        if arguments.json:
            answer_json(explanation.as_dict())
        else:
            show_number(trace, explanation, console, None if arguments.all_terms else TERMS_SHOWN)


def paper() -> Console:
    """Return the console for results, on standard output; a file gets lines of 120 characters."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Console(highlight=False, markup=False, emoji=False, width=width)


def find_trace(name: str) -> Path:
    """Return the folder of a trace: the path itself, or a run's newest.

    Raises:
        TraceError: there is none.
    """
    if (Path(name) / "graph.json").is_file():
        return Path(name)
    try:
        run = open_run(name)
    except RunError:
        there = "is not a trace (no graph.json)" if Path(name).exists() else "is not there"
        raise TraceError(f'{name} {there}; `cutaway trace RUN --text "..."` makes one') from None
    traces = [path.parent for path in run.path.glob("traces/*/graph.json")]
    if not traces:
        raise TraceError(f'run {run.name!r} has no trace yet; `cutaway trace {name} --text "..."` makes one')
    return max(traces, key=lambda path: (path.stat().st_mtime, path.name))


def split_address(text: str) -> tuple[str, tuple[int, ...]]:
    """Return `attn.pattern[0,2]` as the address and the index.

    Raises:
        UsageError: what stands in the brackets are not whole numbers.
    """
    address, bracket, inside = text.strip().partition("[")
    if not bracket:
        return address, ()
    numbers = inside.removesuffix("]").split(",") if inside.removesuffix("]").strip() else []
    if not inside.endswith("]") or not all(re.fullmatch(r"\s*-?\d{1,15}\s*", number) for number in numbers):
        raise UsageError(f"{text!r} is no address with an index; expected something like {address}[0,2]")
    return address, tuple(int(number) for number in numbers)


def check_address(trace: Trace, address: str) -> None:
    """Raise a UsageError with the nearest addresses if there is no such address."""
    if address not in trace:
        from cutaway.microscope.names import nearest

        near = nearest(address, trace.names.places)
        raise UsageError(
            f'this trace has no {address!r}{near}; --list "" prints all {len(trace.addresses()):,} addresses'
        )


def check_part(address: str, index: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return an index of the first axes, or all, counted from 0.

    Raises:
        UsageError: it does not fit the shape.
    """
    if len(index) > len(shape) or not all(-size <= i < size for i, size in zip(index, shape, strict=False)):
        raise UsageError(f"{address} has shape {list(shape)}; there is no number at {list(index)}")
    return tuple(i % size for i, size in zip(index, shape, strict=False))


def list_addresses(trace: Trace, prefix: str, as_json: bool) -> int:
    """Print addresses with their shapes."""
    found = trace.addresses(prefix)
    if not found:
        check_address(trace, prefix)
    if as_json:
        answer_json({"addresses": [{"address": a, "shape": list(trace.place(a).shape)} for a in found]})
    else:
        answer("\n".join(f"{a}  {list(trace.place(a).shape)}" for a in found))
    return 0


def show_number(trace: Trace, e: Explanation, console: Console, most: int | None) -> None:
    """Print one number, its formula, its terms, and whether it comes out again."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text.assemble((f"{e.address}{index_text(e.index)}", "bold cyan"), " = ", (repr(e.value), "bold")))
    if e.operation:
        console.print(f"{e.phase}, {e.operation} in {e.module or 'the model'}  {e.source}".rstrip(), style="dim")
    if e.formula:
        console.print(f"\n{e.formula}")
    if e.numbers:
        console.print(e.numbers, style="dim")
    if e.terms:
        shown = e.terms[:most]
        whole = e.size or 1.0
        table = Table(box=None, pad_edge=False, show_edge=False)
        for head, justify in (("share", "right"), ("term", "right"), ("weight", "right"), ("number", "right")):
            table.add_column(head, justify=justify)  # type: ignore[arg-type]
        table.add_column("from", overflow="fold")
        for term in shown:
            number = trace.memory.read(trace.place(term.address))[term.index].item()
            share = f"{abs(term.value) / whole:.1%}"
            where = Text(f"{term.address}{index_text(term.index)}", style="cyan")
            table.add_row(share, f"{term.value:.6g}", f"{term.weight:.6g}", f"{number:.6g}", where)
        if e.n_terms > len(shown):
            share = f"{1 - sum(abs(term.value) for term in shown) / whole:.1%}"
            rest = e.rest + sum(term.value for term in e.terms[len(shown) :])
            table.add_row(share, f"{rest:.6g}", "", "", f"{e.n_terms - len(shown):,} more (--all-terms)")
        console.print()
        console.print(table)
    if e.recomputed is not None:
        style = "green" if e.verdict == "agrees" else "bold red"
        console.print(f"\nrecomputed {e.recomputed!r}, difference {e.difference:.3g}: {e.verdict}", style=style)
    else:
        console.print(f"\n{e.kind}: {e.verdict}", style="dim")


def show_tensor(
    trace: Trace, address: str, index: tuple[int, ...], console: Console, arguments: ExplainArguments
) -> None:
    """Print what a tensor, or a part of it, is: its shape, its extremes, its last two axes as a picture."""
    import numpy as np
    from rich.text import Text

    from cutaway.cli.heat import heat

    part = trace.slice(address, [(i, i + 1) for i in index]).reshape(trace.place(address).shape[len(index) :])
    with np.errstate(all="ignore"):
        found = tensor_facts(trace, address, index, part)
    if arguments.json:
        answer_json(found)
        return
    shape = " x ".join(map(str, part.shape))
    console.print(Text.assemble((f"{address}{index_text(index)}", "bold cyan"), f"  {shape}  {found['dtype']}"))
    console.print(f"{found['what']}", style="dim")
    if not part.size:
        console.print("no numbers")
        return
    extremes = ", ".join(
        f"{name} {found[name]:.6g}" for name in ("min", "max", "mean", "std") if found[name] is not None
    )
    console.print(f"{extremes}{unusual(found)}\n")
    lead = (0,) * (part.ndim - 2)
    picture, legend = heat(np.abs(part[lead]) if np.iscomplexobj(part) else part[lead], console.width)
    if lead:
        console.print(f"the last two axes at {index_text((*index, *lead))}")
    console.print(picture)
    console.print(legend, style="dim")
    one = index_text((*index, *lead, *(0,) * min(part.ndim, 2)))
    console.print(f'\nnext     cutaway explain {arguments.trace} "{address}{one}"')


def tensor_facts(trace: Trace, address: str, index: tuple[int, ...], part: Any) -> dict[str, Any]:
    """Return a tensor's shape, kind and extremes; what cannot be said of it is None, never 0."""
    import numpy as np

    place = trace.place(address)
    made = trace.memory.maker(place, (0,) * len(place.shape)) if place.numel else None
    if made is None:
        what = trace.names.source_kinds.get(address, "constant")
    else:
        operation = trace.operations[made[0]]
        what = f"{operation.phase}, {operation.name} in {operation.module or 'the model'}  {operation.source}".rstrip()
    finite = part[np.isfinite(part)]
    is_plain = finite.size > 0 and not np.iscomplexobj(part)
    numbers = finite.astype(np.float64) if is_plain else finite
    return {
        "address": address,
        "index": list(index),
        "shape": list(part.shape),
        "dtype": str(place.dtype).removeprefix("torch."),
        "what": what,
        "min": float(numbers.min()) if is_plain else None,
        "max": float(numbers.max()) if is_plain else None,
        "mean": float(numbers.mean()) if is_plain else None,
        "std": float(numbers.std()) if is_plain else None,
        "zeros": int((part == 0).sum()),
        "infinite": int(np.isinf(part).sum()),
        "not_a_number": int(np.isnan(part).sum()),
    }


def unusual(found: dict[str, Any]) -> str:
    """Return how many numbers are zero, infinite or undefined, where some are."""
    names = (("zeros", "exactly 0"), ("infinite", "infinite"), ("not_a_number", "not a number"))
    return "".join(f"; {found[key]:,} {said}" for key, said in names if found[key])


def index_text(index: tuple[int, ...]) -> str:
    """Return an index as one types it; a single number has none."""
    return f"[{','.join(map(str, index))}]" if index else ""


def reason_tree(reason: Reason) -> Tree:
    """Return the contributions as a tree."""
    from rich.text import Text
    from rich.tree import Tree

    def label(one: Reason) -> Text:
        e = one.explanation
        return Text.assemble(
            f"{one.share:6.1%}  ",
            (f"{e.address}{index_text(e.index)}", "cyan"),
            f" = {e.value:.6g}  ",
            (e.operation or e.kind, "dim"),
        )

    def grow(tree: Tree, one: Reason) -> Tree:
        for part in one.parts:
            grow(tree.add(label(part)), part)
        if one.parts and one.left_out > 0.0005:
            tree.add(Text(f"{one.left_out:6.1%}  the rest", style="dim"))
        return tree

    return grow(Tree(label(reason)), reason)


def reason_json(reason: Reason) -> dict[str, Any]:
    """Return the contributions as plain values."""
    parts = [reason_json(part) for part in reason.parts]
    return {**reason.explanation.as_dict(), "share": reason.share, "left_out": reason.left_out, "parts": parts}
