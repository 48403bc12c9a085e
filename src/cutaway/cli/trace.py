"""`cutaway trace`: one training step of a model on a text, every number kept in a folder."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import RunError, TokenizerError, UsageError
from cutaway.base.runs import open_run
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.cli.explain import paper
from cutaway.cli.generate import check_exists

if TYPE_CHECKING:
    from rich.tree import Tree

    from cutaway.microscope.modules import Branch
    from cutaway.microscope.trace import Trace

EXAMPLE = 'cutaway trace stdlib-1 --text "def squares(n):"'


@dataclass(frozen=True)
class TraceArguments:
    """Record one training step of a model on a text: every number of forward pass, backward pass and optimizer."""

    model: Annotated[str, tyro.conf.Positional]
    """A run's name or folder, a model folder (Hugging Face layout), or hf:owner/name to fetch one from the Hub."""
    text: str = ""
    """What the model learns from in this step; `-` reads it from standard input."""
    out: str | None = None
    """The folder to write; left out: traces/1, 2, ... in the run's folder, or ./trace-1, 2, ... for a model folder."""
    forward: bool = False
    """The forward pass only, without dropout."""
    optimizer: Annotated[bool, tyro.conf.FlagCreatePairsOff] = True
    """Step with AdamW, its averages starting at 0; `--no-optimizer` stops after the backward pass."""
    lr: float = 1e-3
    """The learning rate of that step."""
    seed: int = 0
    """What dropout draws from."""
    json: bool = False
    """Print one JSON object."""


def main(argv: list[str]) -> int:
    """Record, save, and say where to look."""
    arguments = parse(TraceArguments, argv, "trace", EXAMPLE)
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    if not text:
        raise UsageError('there is no text to record a step on; give some with --text "..."')
    if not 0 < arguments.lr < float("inf"):
        raise UsageError(f"--lr is {arguments.lr}; expected more than 0")
    check_exists(arguments.model)
    folder = Path(arguments.out) if arguments.out else free_folder(arguments.model)
    if arguments.out and folder.exists() and not (folder / "graph.json").is_file():
        raise UsageError(f"--out {folder} exists and is not a trace; take another folder")
    with screen().status("recording..."):
        trace = record(arguments, text)
        trace.save(folder)
    if arguments.json:
        answer_json({"trace": str(folder), **facts(trace)})
    else:
        show(trace, folder)
    return 0


def free_folder(model: str) -> Path:
    """Return the first folder that is not there yet."""
    try:
        home, stem = open_run(model).path / "traces", ""
    except RunError:
        home, stem = Path(), "trace-"
    number = 1
    while (home / f"{stem}{number}").exists():
        number += 1
    return home / f"{stem}{number}"


def record(arguments: TraceArguments, text: str) -> Trace:
    """Return the trace of one step on the text.

    Raises:
        UsageError: the text has too few tokens, or more than the model reads.
    """
    import torch
    import torch.nn.functional as F

    from cutaway import workbench
    from cutaway.microscope.tracing import trace

    model, tokenizer = workbench.load(arguments.model)
    ids = tokenizer.prompt_ids(text)
    if len(ids) < 2:
        raise TokenizerError(f"the text is {len(ids)} token; a next token to learn needs 2 or more")
    if len(ids) > model.config.context_length:
        raise UsageError(
            f"the text is {len(ids)} tokens and {arguments.model} reads {model.config.context_length}; shorten it"
        )
    tokens = torch.tensor([ids])

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits[0, :-1].float(), tokens[0, 1:])

    torch.manual_seed(arguments.seed)
    if arguments.forward:
        with torch.no_grad():
            found = trace(model.eval(), tokens)
    else:
        weights = model.train().parameters()
        found = trace(model, tokens, loss, torch.optim.AdamW(weights, lr=arguments.lr) if arguments.optimizer else None)
    found.notes = {
        "model": arguments.model,
        "text": text,
        "tokens": [tokenizer.token_text(index) for index in ids],
        "lr": arguments.lr if arguments.optimizer and not arguments.forward else None,
    }
    return found


def facts(trace: Trace) -> dict[str, Any]:
    """Return what a trace holds, in numbers."""
    return {
        **trace.notes,
        "loss": float(trace["loss"]) if "loss" in trace else None,
        "operations": dict(Counter(operation.phase for operation in trace.operations)),
        "addresses": len(trace.addresses()),
        "size_bytes": trace.memory.size_bytes,
    }


def show(trace: Trace, folder: Path) -> None:
    """Print the tree of modules and the next commands."""
    paper().print(module_tree(trace))
    found = facts(trace)
    loss = "" if found["loss"] is None else f"loss {found['loss']:.6g}; "
    operations = ", ".join(f"{n:,} {phase}" for phase, n in found["operations"].items())
    answer(f"\n{len(trace.notes['tokens'])} tokens; {loss}{operations} operations; {found['size_bytes'] / 1e6:.1f} MB")
    answer(f"\nsaved    {folder}")
    answer("\n".join(f"next     {command}" for command in next_commands(trace, folder)))


def next_commands(trace: Trace, folder: Path) -> list[str]:
    """Return what to type next: the loss, an attention pattern, the largest gradient and what it came from."""
    commands = [f"cutaway explain {folder} {address}" for address in ("loss",) if address in trace]
    commands += [f"cutaway explain {folder} {a}" for a in trace.addresses() if a.endswith(".pattern")][:1]
    largest = largest_gradient(trace)
    if largest:
        commands.append(f'cutaway explain {folder} "{largest}" --why 3')
    return [*commands, f'cutaway explain {folder} --list ""', f"cutaway verify {folder}"]


def largest_gradient(trace: Trace) -> str:
    """Return the address and index of the largest gradient of a weight."""
    best, where = 0.0, ""
    for name, kind in trace.names.source_kinds.items():
        address = f"{name}:grad"
        if kind == "parameter" and address in trace:
            size = trace[address].abs().nan_to_num()
            if size.numel() and float(size.max()) > best:
                best = float(size.max())
                flat, index = int(size.argmax()), []
                for axis in reversed(size.shape):
                    index.append(flat % axis)
                    flat //= axis
                where = f"{address}[{','.join(map(str, reversed(index)))}]"
    return where


# ------------------------------------------------------------------------------------------------------ the tree


def module_tree(trace: Trace) -> Tree:
    """Return the modules as a tree; a row of modules that look alike is shown once."""
    from rich.text import Text
    from rich.tree import Tree

    def label(branch: Branch, name: str) -> Text:
        text = Text(name, style="bold")
        operations = " + ".join(f"{n} {phase}" for phase, n in branch.counts.items() if n)
        text.append(f"  {branch.shapes}" if branch.shapes else "", style="cyan")
        text.append(f"  {operations}" if operations else "", style="dim")
        return text

    def grow(tree: Tree, branch: Branch) -> None:
        rows = list(branch.children.values())
        while rows:
            first = rows.pop(0)
            grow(tree.add(label(first, first.name)), first)
            alike = []
            while first.name.isdecimal() and rows and rows[0].likeness() == first.likeness():
                alike.append(rows.pop(0).name)
            if alike:
                names = alike[0] if len(alike) == 1 else f"{alike[0]} to {alike[-1]}"
                tree.add(Text(f"{names}  like {first.name}", style="dim"))

    from cutaway.microscope.modules import branches

    root = branches(trace)
    tree = Tree(label(root, str(trace.notes.get("model", "the model"))))
    grow(tree, root)
    return tree
