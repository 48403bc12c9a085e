"""`cutaway voice export`: a model in the forms other programs read, compared with what it was before it is left there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import RunFolder, open_run
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.cli.generate import check_exists
from cutaway.cli.lens_model import split_checkpoint

if TYPE_CHECKING:
    from cutaway.voice.export import Exported

EXAMPLE = "cutaway voice export me-1 --to gguf --type q8_0 --out me-gguf"


@dataclass(frozen=True)
class ExportArguments:
    """Write a run's model for other programs, read it back, and leave it only if it still says the same."""

    run: Annotated[str, tyro.conf.Positional]
    """A run, tuned or not, a model folder, or hf:owner/name."""
    to: str = "hf"
    """`hf`: a folder for transformers, LoRA added to the weights; `adapter`: LoRA alone, for peft; `gguf`: one file for
    llama.cpp, Ollama and LM Studio."""
    type: str = ""
    """How numbers are kept: hf f32, f16 or bf16 (left out: as they are), gguf f32, f16 or q8_0 (left out: f16)."""
    out: Path | None = None
    """The folder to make (for gguf also a file, NAME.gguf); left out: export/ in the run's folder."""
    force: bool = False
    """Replace an earlier export."""
    json: bool = False
    """Print one JSON object."""


def export_(argv: list[str]) -> None:
    """`cutaway voice export RUN --to FORM`."""
    asked = parse(ExportArguments, argv, "voice export", EXAMPLE)
    name, step = split_checkpoint(asked.run)
    if step is not None:
        raise UsageError(f"an export is of the best weights, which are those of {name!r}; leave @{step} out")
    check_exists(asked.run)
    from cutaway.voice.export import check_type, export

    kind = check_type(asked.to, asked.type) if asked.to in ("hf", "adapter", "gguf") else asked.type
    source, run = find_source(asked.run)
    facts = None
    if run is not None:
        from cutaway.voice.model_card import run_facts

        facts = run_facts(run)
    out = asked.out or default_out(source, run, asked.to, kind)
    with screen().status(f"writing {out} and reading it back"):
        done = export(source, out, asked.to, asked.type, facts, force=asked.force)
    if asked.json:
        answer_json({"model": asked.run, **done.as_dict()})
    else:
        show(done)


def find_source(name: str) -> tuple[Path, RunFolder | None]:
    """Return the folder of a model, and its run if it is one's.

    Raises:
        UsageError: the run has no model yet.
    """
    from cutaway.interop.fetch import find_folder

    folder = Path(name)
    if name.startswith("hf:") or any((folder / config).is_file() for config in ("config.json", "adapter_config.json")):
        return find_folder(name), None
    try:
        run = open_run(name)
    except RunError:
        return find_folder(name), None
    if not run.model_folder.is_dir():
        raise UsageError(f"run {run.name!r} has no model yet; it is saved at its first measurement")
    return run.model_folder, run


def default_out(source: Path, run: RunFolder | None, form: str, kind: str) -> Path:
    """Return where an export goes that was not told: one place for each form and type."""
    name = form + (f"-{kind}" if kind else "")
    return run.path / "export" / name if run else Path(f"{source.name}-{name}")


def show(done: Exported) -> None:
    """Print what was written, how it compares, and how to open it."""
    answer(f"written  {done.path}  ({done.size_bytes / 1e6:,.1f} MB of weights)")
    answer(done.round_trip.sentence())
    for note in done.notes:
        answer(note)
    if done.form == "gguf":
        answer(f"next     llama-cli -m {done.weights}")
    else:
        answer(f"its card {done.path / 'README.md'}")
