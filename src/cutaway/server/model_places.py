"""Where the models of a lab are, and what there is to say about each without loading it.

stdlib-1            a run: its best model so far
stdlib-1@400        the same run as it stood at a checkpoint
models/NAME         a folder in `models` beside the runs, or one given by `cutaway lab --model PATH`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from cutaway.base.errors import CutawayError, RunError, TokenizerError, UsageError, suggest
from cutaway.base.files import check_name
from cutaway.base.runs import RunFolder, list_runs
from cutaway.interop.adapter_folder import holds_model
from cutaway.interop.folder_facts import FolderFacts, folder_facts
from cutaway.interop.folder_files import ADAPTER_CONFIG, TOKENIZER_FILES
from cutaway.models.count import count_cache_bytes, count_parameters

FOLDER = "models"
COPIED_UP_TO = 1 << 30
"""Weights up to this many bytes are copied once more when the model writes (generate/flat.py)."""

Identity = tuple[tuple[int, int, int], ...]


class ModelFacts(BaseModel):
    """What there is to say about a model without opening it."""

    name: str
    """By which it is opened."""
    kind: Literal["run", "checkpoint", "folder"]
    family: str = ""
    """`gpt` (ours), `gpt2` or `llama`."""
    parameters: int = 0
    layers: int = 0
    heads: int = 0
    """Query heads in each layer."""
    kv_heads: int = 0
    d_model: int = 0
    context_length: int = 0
    """Most tokens it sees at once."""
    vocab_size: int = 0
    tokenizer: str = ""
    """`characters` or `bpe`."""
    dtype: str = ""
    size_bytes: int = 0
    """Of the stored weights."""
    run: str | None = None
    """The run it belongs to."""
    step: int | None = None
    """Of a checkpoint."""
    changed: float = 0.0
    """When its weights were written, in seconds since 1970."""
    problem: str | None = None
    """Why it cannot be opened."""


@dataclass(frozen=True)
class Place:
    """Where a model's files are."""

    name: str
    folder: Path
    """Of its settings and tokenizer."""
    run: RunFolder | None = None
    step: int | None = None

    @property
    def weights(self) -> Path:
        """The folder of its weights."""
        if self.run is not None and self.step is not None:
            return self.run.checkpoints_folder / str(self.step)
        return self.folder

    def identity(self) -> Identity:
        """Return what changes when somebody writes another model there."""
        names = ("config.json", ADAPTER_CONFIG, *TOKENIZER_FILES, "tokenizer_config.json", "chat_template.jinja")
        files = [self.folder / name for name in names] + sorted(self.weights.glob("*model*.safetensors*"))
        found = []
        for file in files:
            try:
                state = file.stat()
            except OSError:
                continue
            found.append((state.st_mtime_ns, state.st_size, state.st_ino))
        return tuple(found)

    def stored(self) -> FolderFacts:
        """Return what the folder says of itself."""
        return folder_facts(self.folder)

    def facts(self) -> ModelFacts:
        """Return what there is to say; a model that cannot be opened says why."""
        kind: Literal["run", "checkpoint", "folder"] = (
            "folder" if self.run is None else "run" if self.step is None else "checkpoint"
        )
        named = ModelFacts(name=self.name, kind=kind, run=None if self.run is None else self.run.name, step=self.step)
        try:
            changed = max((path.stat().st_mtime for path in self.weights.glob("*model*.safetensors")), default=0.0)
            stored = self.stored()
            if not stored.tokenizer:
                raise TokenizerError(
                    f"{self.folder} has no tokenizer.json, so text cannot become tokens; copy the model's into it"
                )
            config = stored.config
            facts = {
                "family": stored.family,
                "parameters": count_parameters(config).total,
                "layers": config.n_layers,
                "heads": config.n_heads,
                "kv_heads": config.n_kv_heads or config.n_heads,
                "d_model": config.d_model,
                "context_length": config.context_length,
                "vocab_size": config.known_vocab_size,
                "tokenizer": stored.tokenizer,
                "dtype": stored.dtype,
                "size_bytes": stored.size_bytes,
                "changed": changed,
            }
        except (CutawayError, OSError) as error:
            facts = {"problem": " ".join(str(error).split())}
        return named.model_copy(update=facts)


def list_names(home: Path, given: Mapping[str, Path]) -> list[str]:
    """Return the names of all models: runs with their checkpoints, newest first, then folders."""
    names: list[str] = []
    for run in reversed(list_runs(home)):
        if run.path.is_symlink() or not is_model_folder(run.model_folder):
            continue
        steps = sorted(checkpoint_steps(run), reverse=True)
        names += [run.name, *(f"{run.name}@{step}" for step in steps)]
    if (home / FOLDER).is_dir():
        inside = sorted(home.joinpath(FOLDER).iterdir())
        names += [f"{FOLDER}/{path.name}" for path in inside if is_model_folder(path) and not path.is_symlink()]
    return names + list(given)


def find_place(name: str, home: Path, given: Mapping[str, Path]) -> Place:
    """Return where a model's files are.

    Args:
        given: model folders elsewhere, by name.

    Raises:
        UsageError: the name cannot be a model's.
        RunError: there is no such model.
    """
    if name in given:
        return Place(name, given[name])
    head, slash, rest = name.partition("/")
    if slash:
        path = home / FOLDER / check_name(rest, "model name")
        if head != FOLDER or not is_model_folder(path):
            raise _no_model(name, home, given)
        if path.is_symlink():
            raise RunError(f"model {name!r} is a link out of {home}; give it with `cutaway lab --model PATH`")
        return Place(name, path)
    run_name, at, step = name.partition("@")
    run = RunFolder(home / check_name(run_name, "run name"))
    if run.path.is_symlink():
        raise RunError(f"run {run_name!r} is a link out of {home}; the lab does not follow it")
    if not run.recipe_file.is_file():
        raise _no_model(name, home, given)
    if not holds_model(run.model_folder):
        raise RunError(f"run {run_name!r} has no model yet; it is saved at the first measurement")
    if not at:
        return Place(name, run.model_folder, run)
    if not (step.isascii() and step.isdecimal() and int(step) in checkpoint_steps(run)):
        there = ", ".join(map(str, sorted(checkpoint_steps(run)))) or "none"
        raise RunError(f"run {run_name!r} has no checkpoint {step!r}; it has {there}")
    return Place(f"{run_name}@{int(step)}", run.model_folder, run, int(step))


def _no_model(name: str, home: Path, given: Mapping[str, Path]) -> RunError:
    return RunError(f"there is no model {name!r} in {home}{suggest(name, list_names(home, given))}")


def needed_bytes(stored: FolderFacts) -> int:
    """Estimate the memory an open model takes: weights, their copies for writing, a cache of the whole context."""
    copies = stored.size_bytes if stored.size_bytes <= COPIED_UP_TO else 0
    dtype = stored.dtype or "float32"
    return stored.size_bytes + copies + count_cache_bytes(stored.config, stored.config.context_length, dtype)


def checkpoint_steps(run: RunFolder) -> list[int]:
    """Return the steps of a run's checkpoints."""
    if not run.checkpoints_folder.is_dir():
        return []
    return [int(path.name) for path in run.checkpoints_folder.iterdir() if path.name.isdecimal()]


def is_model_folder(path: Path) -> bool:
    """Whether a folder may hold a model."""
    return holds_model(path)


def named_folders(home: Path, given: Sequence[Path]) -> dict[str, Path]:
    """Return given folders by name: `models/` and the folder's own, with a number where that is taken.

    Raises:
        UsageError: one of them holds no model.
    """
    found: dict[str, Path] = {}
    for path in given:
        if not is_model_folder(path):
            raise UsageError(f"{path} holds no model (no config.json); --model expects a folder in Hugging Face layout")
        stem = name = f"{FOLDER}/{path.resolve().name}"
        number = 2
        while name in found or (home / name).exists():
            name, number = f"{stem}-{number}", number + 1
        found[name] = path
    return found
