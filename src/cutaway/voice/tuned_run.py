"""What a tuned run's recipe says of it, as plain tables: which model it began with. Importing this loads nothing heavy."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from cutaway.base.errors import RunError
from cutaway.base.runs import RunFolder
from cutaway.interop.adapter_folder import find_adapter_base, is_adapter
from cutaway.tune.find_base import find_base


def base_of(run: RunFolder) -> Path:
    """Return the folder of the model a run began with.

    Raises:
        RunError: nothing says which.
    """
    named = str(tune_settings(run).get("base", ""))
    if named:
        return find_base(named, run.path.parent)
    if is_adapter(run.model_folder):
        return find_adapter_base(run.model_folder)
    raise RunError(f"run {run.name!r} was not tuned from another model")


def tune_settings(run: RunFolder) -> dict[str, Any]:
    """Return what a run's recipe says of its tuning; empty where it was not tuned."""
    found = read_recipe(run).get("tune", {})
    return found if isinstance(found, dict) else {}


def read_recipe(run: RunFolder) -> dict[str, Any]:
    """Return a run's recipe as plain tables.

    Raises:
        RunError: it cannot be read.
    """
    try:
        return tomllib.loads(run.recipe_file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RunError(f"the recipe of run {run.name!r} cannot be read: {error}") from error
