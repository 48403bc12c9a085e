"""A run's model for other programs: in which forms it can be had, which were written, and writing one as a job."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from cutaway.base.errors import CutawayError, UsageError
from cutaway.base.runs import RunFolder
from cutaway.server.jobs import Job
from cutaway.server.lab import TheLab

router = APIRouter(prefix="/voice/export")


class ExportForm(BaseModel):
    """A form a model can be written in."""

    to: str
    """`hf`, `adapter` or `gguf`."""
    types: list[str]
    """How numbers can be kept; empty: only as they are."""
    problem: str
    """Why this model cannot be written so."""


class ExportMade(BaseModel):
    """One that was written."""

    name: str
    """Its folder inside the run's `export/`."""
    path: str
    size_bytes: int
    made: float
    """When, in seconds since 1970."""
    said: str
    """How it compared when it was read back, as its card says."""


class Exports(BaseModel):
    """What there is and what there could be."""

    run: str
    forms: list[ExportForm]
    made: list[ExportMade]
    """The newest first."""


class ToExport(BaseModel):
    """What to write."""

    model_config = ConfigDict(extra="forbid")
    run: str
    to: str
    type: str = ""
    force: bool = False
    """Write over an earlier one."""


@router.get("")
def exports(lab: TheLab, run: str) -> Exports:
    """Return in which forms a run's model can be had, and which were written."""
    folder = lab.run(run)
    return Exports(run=run, forms=forms_of(folder), made=made_by(folder))


@router.post("")
def export(lab: TheLab, asked: ToExport) -> Job:
    """Write a run's model for another program, as a job."""
    run = lab.run(asked.run)
    form = next((one for one in forms_of(run) if one.to == asked.to), None)
    if form is None:
        raise UsageError(f"there is no form {asked.to!r}; there is hf, adapter, gguf")
    if form.problem:
        raise UsageError(form.problem)
    if asked.type and asked.type not in form.types:
        raise UsageError(f"{asked.to} has no type {asked.type!r}; there is {', '.join(form.types) or 'none to choose'}")
    words = ["voice", "export", run.name, "--to", asked.to]
    words += ["--type", asked.type] if asked.type else []
    return lab.jobs.submit([*words, "--force"] if asked.force else words, "export", run.name)


def forms_of(run: RunFolder) -> list[ExportForm]:
    """Return the forms, each with why it cannot be had, if it cannot."""
    problems = {"hf": "", "adapter": "", "gguf": ""}
    try:
        problems |= problems_of(run)
    except CutawayError as error:
        problems = dict.fromkeys(problems, " ".join(str(error).split()))
    types = {"hf": ["f32", "f16", "bf16"], "adapter": [], "gguf": ["f32", "f16", "q8_0"]}
    return [ExportForm(to=to, types=types[to], problem=problem) for to, problem in problems.items()]


def problems_of(run: RunFolder) -> dict[str, str]:
    """Return why a run's model cannot be written in some forms, from its settings alone."""
    from cutaway.interop.adapter_folder import is_adapter, tokenizer_folder
    from cutaway.interop.folder_files import tokenizer_kind
    from cutaway.interop.gguf_kinds import CHARACTERS, architecture
    from cutaway.tune.find_base import base_config

    if not run.model_folder.is_dir():
        raise UsageError(f"run {run.name!r} has no model yet; it is saved at its first measurement")
    found = {}
    if not is_adapter(run.model_folder):
        found["adapter"] = "all its weights learned, so there is no adapter; tune with LoRA for one"
    try:
        architecture(base_config(run.model_folder))
        home = tokenizer_folder(run.model_folder)
        if home is None or tokenizer_kind(home) == "characters":
            found["gguf"] = CHARACTERS if home else "the model has no tokenizer, which a GGUF file must hold"
    except UsageError as error:
        found["gguf"] = str(error)
    return found


def made_by(run: RunFolder) -> list[ExportMade]:
    """Return what was written, the newest first."""
    home = run.path / "export"
    folders = [path for path in home.iterdir() if not path.name.startswith(".")] if home.is_dir() else []
    found = [
        ExportMade(
            name=path.name,
            path=str(path.absolute()),
            size_bytes=size_of(path),
            made=path.stat().st_mtime,
            said=card_line(path),
        )
        for path in folders
    ]
    return sorted(found, key=lambda one: -one.made)


def size_of(path: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def card_line(path: Path) -> str:
    """Return what an export's card says of reading it back; empty where it says nothing."""
    try:
        lines = (path / "README.md").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith("read back:")), "")
