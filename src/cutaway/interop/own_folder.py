"""Our own models in the same kind of folder: config.json holds the config, tensors have our names."""

from __future__ import annotations

import dataclasses
import re
from types import NoneType
from typing import Any, get_args, get_type_hints

from cutaway.base.config import from_table
from cutaway.base.errors import ModelFormatError
from cutaway.interop.layout import Layout, Piece, Settings, setting
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig

FAMILIES: dict[str, type[GPTConfig] | type[LlamaConfig]] = {"gpt": GPTConfig, "llama": LlamaConfig}


def read_settings(settings: Settings) -> ModelConfig:
    """Return the config, refusing what this version does not know.

    Raises:
        ConfigError: an unknown setting, or a value of the wrong kind.
    """
    family = setting(settings, "family", str)
    if family not in FAMILIES:
        raise ModelFormatError(f"config.json says family = {family!r}; expected one of {sorted(FAMILIES)}")
    fields = setting(settings, "config", dict)
    nulls: dict[str, Any] = {name: None for name, value in fields.items() if value is None}
    config = from_table(FAMILIES[family], {name: fields[name] for name in fields if name not in nulls})
    hints = get_type_hints(FAMILIES[family])
    for name in nulls:
        if name not in hints or NoneType not in get_args(hints[name]):
            raise ModelFormatError(f"config.json says {name} = null, where a value is needed")
    return dataclasses.replace(config, **nulls)


def write_settings(config: ModelConfig) -> dict[str, Any]:
    """Return config.json's content."""
    family = next(name for name, kind in FAMILIES.items() if isinstance(config, kind))
    return {"family": family, "config": dataclasses.asdict(config)}


def pieces(config: ModelConfig) -> list[Piece]:
    """Return every parameter under its own name."""
    from cutaway.models.build import assemble  # needs PyTorch, which reading the settings does not

    skipped = {"lm_head.weight"} if config.tied else set()
    return [Piece(name, name) for name in assemble(config).state_dict() if name not in skipped]


OWN = Layout(
    model_type="cutaway",
    architecture="Decoder",
    prefix="",
    ignored=re.compile("(?!)"),
    read_settings=read_settings,
    write_settings=write_settings,
    parts_without_place=lambda config: [],
    pieces=pieces,
)
