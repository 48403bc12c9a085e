"""How a family of models lies in a Hugging Face folder: its settings and the names and shapes of its tensors.

A layout says both ways what corresponds: `gpt2_folder.py` and `llama_folder.py` hold one each, and our own
models need almost nothing. `hub_folder.py` does the reading and writing.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cutaway.base.errors import ModelFormatError
from cutaway.models.config import ModelConfig

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Piece:
    """One of our parameters and the part of a stored tensor it is: some columns of it, perhaps transposed."""

    ours: str
    stored: str
    columns: slice | None = None
    transposed: bool = False


@dataclass(frozen=True)
class Layout:
    """One family's folder."""

    model_type: str
    architecture: str
    prefix: str
    """Stands before all names but the head's, unless the folder was written from the bare model."""
    ignored: re.Pattern[str]
    """Names of stored tensors that are no weights: masks and tables that models compute."""
    read_settings: Callable[[Settings], ModelConfig]
    write_settings: Callable[[Any], dict[str, Any]]
    parts_without_place: Callable[[ModelConfig], list[str]]
    pieces: Callable[[Any], list[Piece]]


def setting(settings: Settings, name: str, kind: type, default: Any = dataclasses.MISSING) -> Any:
    """Return one entry of config.json; a whole number is fine where a fraction is expected.

    Raises:
        ModelFormatError: it is missing without a default, or of another type.
    """
    value = settings.get(name)
    if value is None:
        if default is dataclasses.MISSING:
            raise ModelFormatError(f"config.json has no {name!r}, which this kind of model needs")
        return default
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ModelFormatError(f"config.json says {name} = {value!r}; expected {_NAMES[kind]}")
    return value


_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "an object"}


def refuse(settings: Settings, name: str, meaning: str, *accepted: Any) -> None:
    """Stop at a setting that asks for something we do not have, before a number would come out wrong.

    Args:
        accepted: values that ask for nothing special.

    Raises:
        ModelFormatError: the setting is there with another value.
    """
    value = settings.get(name)
    if value is not None and value not in accepted:
        raise ModelFormatError(f"config.json says {name} = {value!r} ({meaning}), which is not supported")
