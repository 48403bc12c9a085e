"""What all questions of `cutaway lens` share: the model, the text, and how tokens are written on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import open_run
from cutaway.cli.generate import check_exists

if TYPE_CHECKING:
    from rich.console import Console

    from cutaway.lens.prompt import Prompt
    from cutaway.models.decoder import Decoder
    from cutaway.text.tokenizer import Tokenizer


def split_checkpoint(name: str) -> tuple[str, int | None]:
    """Return `stdlib-1@400` as the run and the step; any other name as it is."""
    run, at, step = name.rpartition("@")
    if not at or Path(name).exists() or not step.isdecimal():
        return name, None
    return run, int(step)


def check_model(name: str) -> None:
    """Refuse a model that is not there, before anything heavy is loaded.

    Raises:
        UsageError: there is no such run, checkpoint or folder.
    """
    run, step = split_checkpoint(name)
    if step is None:
        check_exists(name)
        return
    try:
        found = open_run(run)
    except RunError as error:
        raise UsageError(str(error)) from None
    if not (found.checkpoints_folder / str(step) / "state.json").is_file():
        there = sorted(int(path.name) for path in found.checkpoints_folder.glob("[0-9]*"))
        has = f"it has {', '.join(map(str, there))}" if there else "it has none"
        raise UsageError(f"run {found.name!r} has no checkpoint of step {step}; {has}")


def open_model(name: str) -> tuple[Decoder, Tokenizer]:
    """Return a run's best model, the model at a checkpoint (`stdlib-1@400`), or that of a folder or the Hub."""
    check_model(name)
    import torch

    from cutaway import workbench

    run, step = split_checkpoint(name)
    if step is None:
        model, tokenizer = workbench.load(name)
    else:
        stopped = workbench.Run(open_run(run).path).at_checkpoint(step)
        model, tokenizer = stopped.model, stopped.tokenizer
    if sum(p.numel() for p in model.parameters()) < 20_000_000:
        torch.set_num_threads(1)
    return model, tokenizer


def read_text(text: str, file: Path | None = None) -> str:
    """Return the text to ask about: as given, of standard input (`-`), or of a file.

    Raises:
        UsageError: a file that cannot be read, or a text and a file.
    """
    if file is not None:
        if text:
            raise UsageError("give a text or a file, not both")
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UsageError(f"cannot read {file}: {why}") from None
    return sys.stdin.read() if text == "-" else text


def written(piece: str) -> str:
    """Return a token's text so that one sees what is in it: a space as `·`, a line's end as `↵`."""
    if piece.isspace() or piece.startswith(" ") or piece.endswith(" "):
        piece = piece.replace(" ", "·")
    shown = piece.replace("\n", "↵").replace("\t", "→").replace("\r", "␍")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)


def say_cut(prompt: Prompt, console: Console) -> None:
    """Say what of the text the model did not read."""
    if prompt.cut:
        console.print(
            f"the first {prompt.cut:,} tokens are left out: the model reads {len(prompt.ids):,} at once", style="yellow"
        )


def or_none(value: float) -> float | None:
    """Return a number, or None for what was not computed."""
    return value if value == value else None


def split_head(text: str, n_layers: int, n_heads: int) -> tuple[int, int]:
    """Return `2.0` as layer and head.

    Raises:
        UsageError: the model has no such head.
    """
    layer, dot, head = text.partition(".")
    if dot and layer.isdecimal() and head.isdecimal() and int(layer) < n_layers and int(head) < n_heads:
        return int(layer), int(head)
    last = f"{n_layers - 1}.{n_heads - 1}"
    raise UsageError(f"there is no head {text!r}; a head is LAYER.HEAD, from 0.0 to {last} in this model")
