"""The model a tuned run begins with: where it lies, and its shape.

A base is named as a person would: a run, a folder, or a model of the Hub. Importing this loads nothing heavy.
"""

from __future__ import annotations

from pathlib import Path

from cutaway.base.errors import ConfigError, ModelFormatError, RunError, UsageError, suggest
from cutaway.base.runs import list_runs, open_run, runs_folder
from cutaway.interop.adapter_folder import chain
from cutaway.interop.fetch import find_folder
from cutaway.interop.folder_files import find_layout, read_json
from cutaway.models.config import ModelConfig


def find_base(base: str, runs: Path | None = None) -> Path:
    """Return the folder of the model that is meant, fetched from the Hub if it is one there.

    Args:
        runs: the folder that holds the runs.

    Raises:
        UsageError: no base is given.
        RunError: the run has no model yet.
        ModelFormatError: there is no such model, or the Hub does not give it.
    """
    if not base:
        raise UsageError(
            "which model to tune is not said; give a run, a model folder, or hf:owner/name (as --base gpt2-folder)"
        )
    if base.startswith("hf:"):
        return find_folder(base)
    home = runs or runs_folder()
    try:
        run = open_run(base, home)
    except RunError:
        if Path(base).expanduser().is_dir():
            return find_folder(base)
        if near := suggest(base, [run.name for run in list_runs(home)]):
            raise ModelFormatError(f"there is no run or folder {base!r}{near}") from None
        return find_folder(base)
    if not run.model_folder.is_dir():
        raise RunError(f"run {run.name!r} has no model yet; it is saved at its first measurement")
    return run.model_folder


def base_config(folder: Path) -> ModelConfig:
    """Return the shape of a folder's model; of an adapter, of the model it is for.

    Raises:
        ModelFormatError: it is not a model this version can load.
    """
    model = chain(folder)[-1]
    settings = read_json(model / "config.json")
    try:
        return find_layout(settings).read_settings(settings)
    except ConfigError as error:
        raise ModelFormatError(f"{model / 'config.json'} describes a model that cannot be: {error}") from error
