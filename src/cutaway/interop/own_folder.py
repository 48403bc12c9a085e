"""Our own models in the same kind of folder: config.json holds the config, tensors have our names."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from cutaway.base.errors import ModelFormatError, suggest
from cutaway.interop.layout import Layout, Piece, Settings, setting
from cutaway.models.build import assemble
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig, RotaryScaling

FAMILIES: dict[str, type[GPTConfig] | type[LlamaConfig]] = {"gpt": GPTConfig, "llama": LlamaConfig}


def read_settings(settings: Settings) -> ModelConfig:
    """Return the config, refusing what this version does not know."""
    family = setting(settings, "family", str)
    if family not in FAMILIES:
        raise ModelFormatError(f"config.json says family = {family!r}; expected one of {sorted(FAMILIES)}")
    fields = dict(setting(settings, "config", dict))
    known = {field.name: field for field in dataclasses.fields(FAMILIES[family])}
    for name in fields:
        if name not in known:
            raise ModelFormatError(
                f"config.json has a setting {name!r} this version does not know{suggest(name, known)}"
            )
    scaling = setting(fields, "rotary_scaling", dict, None)
    try:
        for name, value in fields.items():
            if isinstance(value, list):
                fields[name] = tuple(value)
        if scaling is not None:
            fields["rotary_scaling"] = RotaryScaling(**scaling)
        return FAMILIES[family](**fields)
    except TypeError as error:
        raise ModelFormatError(f"config.json has a setting of the wrong type: {error}") from error


def write_settings(config: ModelConfig) -> dict[str, Any]:
    """Return config.json's content."""
    family = next(name for name, kind in FAMILIES.items() if isinstance(config, kind))
    return {"family": family, "config": dataclasses.asdict(config)}


def pieces(config: ModelConfig) -> list[Piece]:
    """Return every parameter under its own name."""
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
