"""`cutaway trace`: one training step of a model on a text, every number kept in a folder."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
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
    import torch
    from rich.tree import Tree

    from cutaway.microscope.modules import Branch
    from cutaway.microscope.trace import Trace
    from cutaway.workbench import Stopped

DEFAULT_RATE = 1e-3
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
    checkpoint: int | None = None
    """The step of a run's checkpoint: its weights, and its optimizers with what they remember, at the run's own rates. The
    step is then the very one training would have made next, were this text its batch. Left out: the best weights."""
    forward: bool = False
    """The forward pass only, without dropout."""
    optimizer: Annotated[bool, tyro.conf.FlagCreatePairsOff] = True
    """Step with AdamW, its averages starting at 0 (with `--checkpoint`: with the run's own optimizers);
    `--no-optimizer` stops after the backward pass."""
    lr: float | None = None
    """The learning rate of that step; left out: 0.001. With `--checkpoint` the run's own, as its schedule says."""
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
    if arguments.lr is not None and not 0 < arguments.lr < float("inf"):
        raise UsageError(f"--lr is {arguments.lr}; expected more than 0")
    if arguments.lr is not None and arguments.checkpoint is not None:
        raise UsageError("--lr and --checkpoint: a checkpoint is stepped at the run's own rates; leave --lr out")
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

    from cutaway import workbench
    from cutaway.microscope.tracing import trace

    stopped = None
    if arguments.checkpoint is None:
        model, tokenizer = workbench.load(arguments.model)
    else:
        stopped = workbench.Run(open_run(arguments.model).path).at_checkpoint(arguments.checkpoint)
        model, tokenizer = stopped.model, stopped.tokenizer
    ids = tokenizer.prompt_ids(text)
    if len(ids) < 2:
        raise TokenizerError(f"the text is {len(ids)} token; a next token to learn needs 2 or more")
    if len(ids) > model.config.context_length:
        raise UsageError(
            f"the text is {len(ids)} tokens and {arguments.model} reads {model.config.context_length}; shorten it"
        )
    tokens = torch.tensor([ids])
    lr = DEFAULT_RATE if arguments.lr is None else arguments.lr
    torch.manual_seed(arguments.seed)
    if arguments.forward:
        with torch.no_grad():
            found = trace(model.eval(), tokens)
    elif stopped is not None:
        found = next_step(stopped, tokens, arguments.optimizer)
    else:
        weights = model.train().parameters()
        found = trace(
            model, tokens, loss_of(tokens), torch.optim.AdamW(weights, lr=lr) if arguments.optimizer else None
        )
    is_stepped = arguments.optimizer and not arguments.forward
    found.notes |= {
        "model": arguments.model,
        "text": text,
        "tokens": [tokenizer.token_text(index) for index in ids],
        "lr": lr if is_stepped and stopped is None else None,
    }
    if stopped is not None:
        names = [type(optimizer).__name__ for optimizer in stopped.optimizers]
        found.notes |= {"checkpoint": arguments.checkpoint, "optimizers": names if is_stepped else []}
    return found


def loss_of(tokens: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the next-token loss of logits."""
    import torch.nn.functional as F

    return lambda logits: F.cross_entropy(logits[0, :-1].float(), tokens[0, 1:])


def next_step(stopped: Stopped, tokens: torch.Tensor, with_optimizer: bool) -> Trace:
    """Record the step that training would make next, were this text the batch: its precision, its clipping, its optimizers.

    The tables that train with sparse gradients get dense ones, which a microscope can show; the numbers are the same.
    """
    import torch
    from torch import nn

    from cutaway.microscope.tracing import recording
    from cutaway.nn.embedding import NGramEmbedding
    from cutaway.train.trainer import autocast

    model = stopped.model.train()
    for module in model.modules():
        if isinstance(module, NGramEmbedding):
            module.sparse_gradient = False
    optimizers = stopped.optimizers if with_optimizer else []
    with recording(model, optimizers) as found:
        with autocast(stopped.config.precision, tokens.device):
            loss = loss_of(tokens)(model(tokens))
        loss.backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        if optimizers and stopped.config.clip_norm:
            norm = float(nn.utils.get_total_norm(grads))
            if norm > stopped.config.clip_norm:
                with torch.no_grad():
                    for grad in grads:
                        grad.mul_(stopped.config.clip_norm / norm)
        for optimizer in optimizers:
            optimizer.step()
    return found


def facts(trace: Trace) -> dict[str, Any]:
    """Return what a trace holds, in numbers."""
    return {
        **{name: value for name, value in trace.notes.items() if name not in ("axes", "modules")},
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
