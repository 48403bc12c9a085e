"""`cutaway lens why`, `ablate`, `patch`: cause and effect in a model, on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import UsageError
from cutaway.cli.bars import bars
from cutaway.cli.console import answer_json, parse, screen
from cutaway.cli.explain import paper
from cutaway.cli.heat import heat
from cutaway.cli.lens_model import check_model, open_model, read_text, say_cut, written

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from cutaway.lens.ablate import Ablation, Measured, Scan
    from cutaway.lens.answer import Answer
    from cutaway.lens.attribution import Attribution, Term
    from cutaway.lens.patch import Patching

Model = Annotated[str, tyro.conf.Positional]
Text = Annotated[str, tyro.conf.Positional]
WHAT = {"resid": "resid_pre", "attn": "attn_out", "mlp": "mlp_out", "heads": "z"}


@dataclass(frozen=True)
class WhyArguments:
    """Which parts made a token likely: its logit as a sum over embeddings, heads, MLPs and biases."""

    model: Model
    """A run, a checkpoint of one (stdlib-1@400), a model folder, or hf:owner/name."""
    text: Text = ""
    """What the model reads; `-` takes it from standard input."""
    file: Path | None = None
    """A file with the text instead."""
    token: str | None = None
    """The token to explain, as text (spaces count) or as #17; left out: what the model says next."""
    against: str | None = None
    """Another token: explain by how much the first beats it; left out: the first one's logit."""
    position: int = -1
    """After which token it comes, from 0; -1: the last."""
    most: int = 12
    """How many parts to list; the others are summed."""
    json: bool = False
    """Print one JSON object with every part, every head by source position, and the MLPs' strongest units."""


def why(argv: list[str]) -> int:
    """Print what each part added to a logit."""
    example = 'cutaway lens why stdlib-1 "def add(a, b):" --token "\\n" --against " "'
    arguments = parse(WhyArguments, argv, "lens why", example)
    check_model(arguments.model)
    if arguments.most < 1:
        raise UsageError("--most must be 1 or more")
    text = read_text(arguments.text, arguments.file)
    model, tokenizer = open_model(arguments.model)

    from cutaway.lens.attribution import attribute

    found = attribute(
        model, tokenizer, text, token_of(arguments.token), token_of(arguments.against), arguments.position
    )
    if arguments.json:
        answer_json({"model": arguments.model, **found.as_dict()})
        return 0
    console = paper()
    say_cut(found.prompt, console)
    show_why(found, arguments.most, console)
    return 0


def show_why(found: Attribution, most: int, console: Console) -> None:
    """Print the largest terms with their bars, the others as one, and the sum."""
    largest = found.largest(most)
    n_others = len(found.terms) - len(largest)
    others = sum(term.value for term in found.terms) - sum(term.value for term in largest)
    show_question(found.answer, found.prompt.pieces, console)
    rows = [(term.name, term.value, detail(found, term)) for term in largest]
    if n_others:
        rows.append((f"{n_others} others", others, "summed"))
    bars(rows, console)
    console.print(f"sum {found.logit - found.rest:+.4f}   logit {found.logit:+.4f}   rest {found.rest:+.1e} (rounding)")
    console.print(found.reading, style="dim")


def detail(found: Attribution, term: Term) -> str:
    """Return where a head read its share, or which units of an MLP gave it."""
    if term.kind == "head" and term.layer is not None:
        head = int(term.name.split(".")[1])
        row_S = found.sources_LHS[term.layer, head]
        places = row_S.abs().topk(min(2, len(row_S))).indices.tolist()
        said = [f"{written(found.prompt.pieces[s])} ({s}) {float(row_S[s]):+.2f}" for s in places if row_S[s] != 0]
        return "from " + ", ".join(said)
    if term.kind == "mlp" and term.layer is not None:
        return ", ".join(f"unit {unit} {value:+.2f}" for unit, value in found.top_neurons(term.layer, 2))
    return ""


@dataclass(frozen=True)
class AblateArguments:
    """What changes without a head, an MLP or a neuron. With none named: each head and each MLP in turn."""

    model: Model
    """A run, a checkpoint of one (stdlib-1@400), a model folder, or hf:owner/name."""
    text: Text = ""
    """What the model reads; `-` takes it from standard input."""
    file: Path | None = None
    """A file with the text instead."""
    heads: tuple[str, ...] = ()
    """Heads to take out, as 2.0 1.3 (block.head)."""
    mlps: tuple[int, ...] = ()
    """MLPs to take out, by block."""
    attns: tuple[int, ...] = ()
    """Whole attentions to take out, by block."""
    neurons: tuple[str, ...] = ()
    """Hidden units of MLPs to take out, as 2.17 (block.unit)."""
    mean: bool = False
    """Put the part's mean over the text's positions in its place; left out: zero."""
    reference: str | None = None
    """With --mean: a text over which to take it instead."""
    at: tuple[int, ...] = ()
    """Only at these positions; left out: all."""
    token: str | None = None
    """The token to watch, as text or as #17; left out: what the model says next."""
    against: str | None = None
    """Another token: watch by how much the first beats it."""
    position: int = -1
    """After which token it comes, from 0; -1: the last."""
    json: bool = False
    """Print one JSON object with every number."""


def ablate(argv: list[str]) -> int:
    """Print what the model says without the parts named, or without each in turn."""
    example = 'cutaway lens ablate stdlib-1 "def add(a, b):" --heads 2.0 1.3 --mean'
    arguments = parse(AblateArguments, argv, "lens ablate", example)
    check_model(arguments.model)
    text = read_text(arguments.text, arguments.file)
    parts = named_parts(arguments)
    model, tokenizer = open_model(arguments.model)

    from cutaway.lens.ablate import Ablation, scan
    from cutaway.lens.ablate import ablate as take_out

    settings: dict[str, Any] = {
        "answer": token_of(arguments.token),
        "other": token_of(arguments.against),
        "position": arguments.position,
        "by": "mean" if arguments.mean else "zero",
        "reference": arguments.reference,
        "at": arguments.at or None,
    }
    found: Ablation | Scan
    if parts:
        found = take_out(model, tokenizer, text, parts, **settings)
    else:
        with screen().status("taking out each head and each MLP...") as status:
            found = scan(model, tokenizer, text, **settings, on_done=progress(status, "taken out"))
    if arguments.json:
        answer_json({"model": arguments.model, **found.as_dict()})
        return 0
    console = paper()
    say_cut(found.prompt, console)
    show_question(found.answer, found.prompt.pieces, console)
    if isinstance(found, Ablation):
        show_ablation(found, console)
    else:
        show_scan(found, console)
    return 0


def named_parts(arguments: AblateArguments) -> list[str]:
    """Return the parts in the words of `lens.parts`."""
    for unit in arguments.neurons:
        block, dot, index = unit.partition(".")
        if not (dot and block.isdecimal() and index.isdecimal()):
            raise UsageError(f"{unit!r} is no neuron; write BLOCK.UNIT, as 2.17")
    return [
        *arguments.heads,
        *(f"attn {block}" for block in arguments.attns),
        *(f"mlp {block}" for block in arguments.mlps),
        *("mlp {} unit {}".format(*unit.split(".")) for unit in arguments.neurons),
    ]


def how(found: Ablation | Scan) -> str:
    """Return what took the parts' place, and where."""
    what = "zero" if found.by == "zero" else "its mean over the text"
    if found.reference is not None:
        what = f"its mean over the {len(found.reference.ids)} tokens of the reference text"
    where = "at every position" if found.at is None else f"at position {', '.join(map(str, found.at))}"
    return f"{what}, {where}"


def show_ablation(found: Ablation, console: Console) -> None:
    """Print what the model said before and says now."""
    from rich.table import Table

    console.print(f"without {', '.join(map(str, found.parts))}: {how(found)}", style="dim")
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("", "with", "without", "change"):
        table.add_column(title, justify="right" if title else "left")
    for name, before, after, form in facts(found.before, found.after, found.answer.other is not None):
        table.add_row(name, format(before, form), format(after, form), format(after - before, "+" + form))
    console.print(table)
    console.print(f"now it says {written(found.guess_piece)!r} first; KL divergence {found.kl_nats:.4f} nats")


def facts(before: Measured, after: Measured, is_difference: bool) -> list[tuple[str, float, float, str]]:
    """Return what was measured before and after, each with its format."""
    rows = [
        ("difference of logits" if is_difference else "logit", before.logit, after.logit, ".4f"),
        ("probability", before.probability, after.probability, ".2%"),
    ]
    if before.loss_nats is not None and after.loss_nats is not None:
        rows.append(("loss of the text, nats", before.loss_nats, after.loss_nats, ".4f"))
    return rows


def show_scan(found: Scan, console: Console) -> None:
    """Print how the logit changes without each head, without each MLP, and the strongest of both."""
    console.print(f"without each head and each MLP in turn: {how(found)}; change of the logit", style="dim")
    picture, legend = heat((found.heads_logit_LH - found.before.logit).numpy(), width=console.width)
    console.print("heads: a row a block, a column a head", style="bold")
    console.print(picture)
    console.print(legend, style="dim")
    console.print("MLPs", style="bold")
    bars(
        [(f"mlp {i}", float(value) - found.before.logit, "") for i, value in enumerate(found.mlps_logit_L)],
        console,
    )
    console.print("strongest", style="bold")
    rows = []
    for part, change in found.strongest(8):
        at = (part.layer, part.index) if part.kind == "head" else (part.layer,)
        probability = (found.heads_probability_LH if part.kind == "head" else found.mlps_probability_L)[at]
        loss = float((found.heads_loss_LH if part.kind == "head" else found.mlps_loss_L)[at])
        said = f"probability {found.before.probability:.1%} to {float(probability):.1%}"
        if found.before.loss_nats is not None:
            said += f", loss {loss - found.before.loss_nats:+.3f}"
        rows.append((str(part), change, said))
    bars(rows, console)


@dataclass(frozen=True)
class PatchArguments:
    """Which activations carry the difference between two prompts: each of the clean one, alone, pasted into the other."""

    model: Model
    """A run, a checkpoint of one (stdlib-1@400), a model folder, or hf:owner/name."""
    clean: Text
    """The prompt that gets the answer right."""
    corrupted: Text
    """The prompt into which the clean one's activations are pasted."""
    token: str | None = None
    """The answer to the clean prompt, as text or as #17; left out, with --against: what the model says."""
    against: str | None = None
    """The answer to the corrupted prompt."""
    what: str = "resid"
    """What to paste: `resid` (the stream before each block), `attn`, `mlp` (what each wrote), or `heads`."""
    at: tuple[int, ...] = ()
    """With `--what heads`: only at these positions of the corrupted prompt."""
    position: int = -1
    """After which token of the corrupted prompt the answer comes, from 0; -1: the last."""
    json: bool = False
    """Print one JSON object with the whole map."""


def patch(argv: list[str]) -> int:
    """Print the map of effects."""
    example = 'cutaway lens patch stdlib-1 "for i in range" "for j in range" --token i --against j'
    arguments = parse(PatchArguments, argv, "lens patch", example)
    check_model(arguments.model)
    if arguments.what not in WHAT:
        raise UsageError(f"--what is {arguments.what!r}; expected one of {', '.join(WHAT)}")
    model, tokenizer = open_model(arguments.model)

    from cutaway.lens.patch import patch as paste

    with screen().status("reading both prompts...") as status:
        found = paste(
            model,
            tokenizer,
            arguments.clean,
            arguments.corrupted,
            token_of(arguments.token),
            token_of(arguments.against),
            WHAT[arguments.what],
            arguments.position,
            arguments.at or None,
            on_done=progress(status, "patched"),
        )
    if arguments.json:
        answer_json({"model": arguments.model, **found.as_dict()})
        return 0
    console = paper()
    for prompt in (found.clean, found.corrupted):
        say_cut(prompt, console)
    show_patching(found, console)
    return 0


def show_patching(found: Patching, console: Console) -> None:
    """Print the heat map, where the prompts differ, and the largest effects."""
    from cutaway.lens.patch import WHAT as SAID

    show_question(found.answer, found.corrupted.pieces, console)
    console.print(
        f"clean {found.clean_logit:+.4f}   corrupted {found.corrupted_logit:+.4f}   "
        f"an effect of 1 brings all of it back, 0 nothing"
    )
    console.print(found.note, style="dim")
    pairs = [(t, p) for t, p in enumerate(found.partners) if p is not None]
    unlike = [
        f"{t} {written(found.clean.pieces[p])!r} for {written(found.corrupted.pieces[t])!r}"
        for t, p in pairs
        if found.clean.ids[p] != found.corrupted.ids[t]
    ]
    if unlike:
        more = f" and {len(unlike) - 8} more" if len(unlike) > 8 else ""
        console.print(f"they differ at position {', '.join(unlike[:8])}{more}", style="dim")
    columns = "head" if found.what == "z" else "position"
    console.print(f"{SAID[found.what]}: a row a block, a column a {columns}", style="bold")
    picture, legend = heat(found.effect_LX.numpy(), width=console.width)
    console.print(picture)
    console.print(legend.replace("not a number", "no partner in the clean prompt"), style="dim")
    console.print("largest", style="bold")
    cells = [
        (layer, x, float(effect))
        for layer, row in enumerate(found.effect_LX)
        for x, effect in enumerate(row)
        if effect == effect
    ]
    rows = []
    for layer, x, effect in sorted(cells, key=lambda cell: -abs(cell[2]))[:8]:
        where = f"head {layer}.{x}" if found.what == "z" else f"block {layer}, position {x}"
        rows.append((where, effect, "" if found.what == "z" else written(found.corrupted.pieces[x])))
    bars(rows, console)


def show_question(answer: Answer, pieces: tuple[str, ...], console: Console) -> None:
    """Print what is measured, and after which tokens."""
    before = "".join(written(piece) for piece in pieces[max(0, answer.position - 30) : answer.position + 1])
    dots = "…" if answer.position > 30 else ""
    what = f"logit of {written(answer.piece)!r}"
    if answer.other_piece is not None:
        what += f" minus logit of {written(answer.other_piece)!r}"
    console.print(f"{what} after {dots}{before} (position {answer.position})", style="bold")


def progress(status: Status, what: str) -> Callable[[int, int], None]:
    """Return a function that says how much is done."""
    return lambda done, of: status.update(f"{done:,} of {of:,} {what}")


def token_of(text: str | None) -> str | None:
    """Return a token's text as typed, with `\\n` and `\\t` read as one reads them in code."""
    return None if text is None else text.replace("\\n", "\n").replace("\\t", "\t")
