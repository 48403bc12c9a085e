"""`cutaway voice change`: what tuning moved, in the weights and in what the model expects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import RunFolder, open_run
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.cli.explain import paper
from cutaway.cli.lens_model import read_text, written

if TYPE_CHECKING:
    from rich.table import Table

    from cutaway.tune.examples import Example
    from cutaway.voice.before_after import BeforeAfter
    from cutaway.voice.change import PartChange, WeightChange
    from cutaway.voice.change_tokens import KindChange, TokenChange, TokenChanges

EXAMPLE = "cutaway voice change me-1 --matrix blocks.0.mlp.up_proj"
SHOWN = 12


@dataclass(frozen=True)
class ChangeArguments:
    """What tuning moved: matrices, heads and neurons, and the tokens whose probability changed most."""

    run: Annotated[str, tyro.conf.Positional]
    """A tuned run."""
    base: str = ""
    """The model to compare with; left out: the one the run began with."""
    text: str = ""
    """A text to read with both; left out: the held-out pairs."""
    file: Path | None = None
    """A file with the text."""
    matrix: str = ""
    """Record the change of this matrix as a trace, to be opened in the microscope; `first`: the one that moved farthest."""
    top: int = SHOWN
    """Lines of each list."""
    json: bool = False
    """Print one JSON object."""


def change(argv: list[str]) -> None:
    """`cutaway voice change RUN`."""
    asked = parse(ChangeArguments, argv, "voice change", EXAMPLE)
    if asked.top < 1:
        raise UsageError(f"--top is {asked.top}; expected 1 or more")
    try:
        run = open_run(asked.run)
    except RunError as error:
        raise UsageError(str(error)) from None
    text = read_text(asked.text, asked.file)
    from cutaway.voice.before_after import open_tuned
    from cutaway.voice.change import weight_change
    from cutaway.voice.change_tokens import token_changes

    with screen().status("opening both models") as status:
        both = open_tuned(run, asked.base)
        status.update("comparing the weights")
        weights = weight_change(both.base, both.tuned, both.factors)
        saved = record(run, both, weights, asked.matrix) if asked.matrix else None
        status.update("reading")
        examples, said = to_read(run, both, text)
        tokens = token_changes(both.base, both.tuned, both.tokenizer, examples, asked.top)
    told: dict[str, Any] = {"run": run.name, "weights": weights.as_dict(), "tokens": tokens.as_dict(), "read": said}
    if not text and not asked.base:
        from cutaway.voice.change_file import models_hash, write_change

        write_change(run, told, models_hash(run.model_folder, both.base_folder))
    if asked.json:
        answer_json(told | {"trace": str(saved) if saved else None})
        return
    show_weights(weights, asked.top)
    show_tokens(tokens, said)
    if saved:
        answer(f"\nsaved    {saved}\nnext     cutaway explain {saved} singular_values[0] --why 3")
    elif not weights.is_zero:
        answer(f"\nnext     cutaway voice change {run.name} --matrix first    (opens in the microscope)")


def record(run: RunFolder, both: BeforeAfter, weights: WeightChange, matrix: str) -> Path:
    """Record the change of one matrix in the run's folder and return the trace's."""
    from cutaway.voice.change_file import trace_name
    from cutaway.voice.change_trace import change_trace

    if matrix == "first":
        first = next((one.name for one in weights.matrices if len(one.shape) == 2), None)
        if first is None:
            raise UsageError("no matrix moved, so there is none to open")
        matrix = first
    folder = run.path / "traces" / trace_name(matrix)
    change_trace(both.base, both.tuned, both.factors, matrix, run.name).save(folder)
    return folder


def to_read(run: RunFolder, both: BeforeAfter, text: str) -> tuple[list[Example], str]:
    """Return what both models read, and what it is in words."""
    from cutaway.voice.before_after import held_out_examples
    from cutaway.voice.change_tokens import plain_example

    if text:
        return [plain_example(both.tokenizer, text)], "the text given"
    examples, is_held_out = held_out_examples(run, both)
    return examples, "held-out answers" if is_held_out else "the answers it was trained on: none were held out"


# ------------------------------------------------------------------------------------------------------------- tables


def show_weights(weights: WeightChange, top: int) -> None:
    """Print the matrices that moved farthest, then heads and neurons."""
    from cutaway.voice.change import farthest

    answer(weights.sentence())
    if weights.is_zero:
        return
    table = columns("matrix", "shape", "moved", "of itself", "stable rank", "effective rank", "strongest")
    for one in weights.matrices[:top]:
        strongest = " ".join(f"{value:.3g}" for value in one.singular_values[:4])
        ranks = ["-" if rank is None else f"{rank:.1f}" for rank in (one.stable_rank, one.effective_rank)]
        shape = " x ".join(map(str, one.shape))
        table.add_row(one.name, shape, f"{one.norm:.3g}", percent(one.relative), *ranks, strongest)
    paper().print(table)
    if len(weights.matrices) > top:
        answer(f"... and {len(weights.matrices) - top:,} more (--json has all)")
    answer(f"\nheads    {listed(farthest(weights.heads, 6))}")
    answer(f"neurons  {listed(weights.neurons[:6])}")


def percent(relative: float) -> str:
    """Return how far something moved for its size."""
    return f"{relative:.2%}" if math.isfinite(relative) else "from 0"


def listed(parts: Sequence[PartChange]) -> str:
    """Return parts as `0.3 4.1%`: layer, index, and how far of themselves they moved."""
    return "   ".join(f"{one.layer}.{one.index} {percent(one.relative)}" for one in parts) or "none moved"


def show_tokens(tokens: TokenChanges, said: str) -> None:
    """Print what became likelier and less likely."""
    answer(f"\n{said}: {tokens.sentence()}")
    for title, found in (("likelier", tokens.gained), ("less likely", tokens.lost)):
        if found:
            paper().print(in_sentences(title, found))
    for title, kinds in (("likelier wherever they stand", tokens.kinds_gained), ("less likely", tokens.kinds_lost)):
        if kinds:
            answer(f"{title}: {'   '.join(kind_text(one) for one in kinds)}")


def in_sentences(title: str, found: Sequence[TokenChange]) -> Table:
    """Return tokens with the text around them."""
    from rich.text import Text

    table = columns(title, "before", "after", "bits", "in")
    for one in found:
        around = Text.assemble(
            (written(one.left[-24:]), "dim"), (written(one.text), "bold"), (written(one.right[:12]), "dim")
        )
        table.add_row(written(one.text), f"{one.before:.2%}", f"{one.after:.2%}", f"{one.gain_bits:+.2f}", around)
    return table


def kind_text(one: KindChange) -> str:
    """Return a kind of token as `the +0.31 (14)`."""
    return f"{written(one.text)} {one.gain_bits:+.2f} ({one.count})"


def columns(*names: str) -> Table:
    """Return an empty table, all columns but the first and the last to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for i, name in enumerate(names):
        table.add_column(name, justify="left" if i in (0, len(names) - 1) else "right", overflow="fold")
    return table
