"""A recipe as a form: every setting a person may change, with the text that explains it, as it is and within which limits.

All of it is derived from the dataclasses the command line is made from: the field's docstring, its type, its value in the
preset, and its limits, which are found by asking the dataclass itself what it refuses. `form_values.py` reads a filled
form. Importing this loads nothing heavy.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cutaway.base.config import field_docs
from cutaway.base.errors import ConfigError
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe

Kind = Literal["number", "whole", "choice", "flag", "text", "list"]

GROUPS = {
    "data": "Text",
    "pictures": "Pictures",
    "model": "Model",
    "objective": "Task",
    "path": "Noise",
    "train": "Training",
    "generate": "Samples",
    "sampling": "Samples",
    "tune": "Tuning",
}
"""The tables of recipes of both kinds, in the order of the form, by what they are called there."""

PLACED = {
    "fit": "train",
    "prompt": "generate",
    "conditions": "path",
    "text": "path",
    "vae": "path",
    "latent_pool": "path",
    "prompts": "sampling",
}
"""Settings outside the tables, by the group they are shown in."""

SETTLED = {"data.text_hash", "pictures.pictures_hash", "model.vocab_size", "tune.base_hash"}
"""Settings that a run finds out by itself."""

LABELS = {
    "d_model": "Width (d_model)",
    "d_ff": "MLP width (d_ff)",
    "d_head": "Head width",
    "n_layers": "Layers",
    "n_heads": "Heads",
    "n_kv_heads": "Key/value heads",
    "fit": "Choose the size for the budget",
    "mlp": "MLP",
    "qk_norm": "QK-norm",
    "bpe_vocab_size": "BPE tokens",
    "beta1": "Beta 1",
    "beta2": "Beta 2",
    "max_tokens": "Longest sample",
    "clip_norm": "Longest gradient",
}

UNITS = {
    "minutes": "minutes",
    "steps": "steps",
    "epochs": "epochs",
    "tokens": "tokens",
    "validate_every": "steps",
    "sample_every": "steps",
    "checkpoint_every": "steps",
    "patience": "measurements",
    "batch_size": "sequences",
    "context_length": "tokens",
    "d_model": "channels",
    "d_ff": "channels",
    "d_head": "channels",
}
"""What a number counts, where its name does not end with it."""


@dataclass(frozen=True)
class FormField:
    """One setting."""

    path: str
    """As on the command line: `train.learning-rate`."""
    label: str
    doc: str
    """What it means: the same text as in the command line's help."""
    kind: Kind
    is_optional: bool
    """Whether it may be left empty."""
    value: str
    """As text; empty: not set. Items of a list are separated by commas (texts: by line ends)."""
    placeholder: str
    choices: list[str]
    low: float | None
    """Smallest value accepted, where there is one."""
    high: float | None
    """Largest value accepted, where there is one."""
    unit: str


@dataclass(frozen=True)
class FormGroup:
    """The settings of one part of a recipe."""

    name: str
    title: str
    doc: str
    kind: str
    """Of a model: its family, `gpt` or `llama`."""
    fields: list[FormField]


def form(recipe: Recipe | PaintRecipe) -> list[FormGroup]:
    """Return a recipe as groups of settings."""
    docs = field_docs(type(recipe))
    groups = []
    for name, title in GROUPS.items():
        config = getattr(recipe, name, None)
        if config is None:
            continue
        asked = [field.name for field in dataclasses.fields(config) if is_asked(config, name, field.name)]
        fields = [_field(config, name, one) for one in asked]
        fields += [_field(recipe, "", outer) for outer, group in PLACED.items() if group == name and outer in docs]
        groups.append(FormGroup(name, title, docs[name], getattr(type(config), "toml_kind", ""), fields))
    return groups


def is_asked(config: Any, table: str, name: str) -> bool:
    """Whether a setting of a table is a person's to set."""
    return f"{table}.{name}" not in SETTLED and describe_type(type(config), name) is not None


def _field(config: Any, table: str, name: str) -> FormField:
    described = describe_type(type(config), name)
    assert described is not None
    kind, is_optional, choices = described
    doc = field_docs(type(config)).get(name, "")
    config_class: type = type(config)
    low, high = limits(config_class, name) if kind in ("number", "whole") else (None, None)
    return FormField(
        path=dashed(f"{table}.{name}" if table else name),
        label=_label(name),
        doc=doc,
        kind=kind,
        is_optional=is_optional,
        value=as_text(getattr(config, name)),
        placeholder=_placeholder(doc, is_optional),
        choices=choices,
        low=low,
        high=high,
        unit=_unit(name, table) if kind in ("number", "whole") else "",
    )


@cache
def describe_settings() -> dict[str, tuple[str, str]]:
    """Return the label and the meaning of every setting of every kind of recipe, by its name in the file."""
    known: dict[str, tuple[str, str]] = {}
    for recipe_class in (PaintRecipe, Recipe):  # of a setting both have, the text's meaning is told
        for table, hint in get_type_hints(recipe_class).items():
            classes: list[Any] = [part for part in get_args(hint) or (hint,) if dataclasses.is_dataclass(part)]
            for config_class in reversed(classes):
                for name, doc in field_docs(config_class).items():
                    known[f"{table}.{name}"] = (_label(name), doc)
        known |= {name: (_label(name), doc) for name, doc in field_docs(recipe_class).items()}
    return known


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " ").capitalize())


def dashed(path: str) -> str:
    """Return a setting's path as on the command line."""
    return path.replace("_", "-")


def describe_type(config_class: type, name: str) -> tuple[Kind, bool, list[str]] | None:
    """Return a setting's kind, whether it may be left out, and its choices; None for nested tables."""
    hint = _hints(config_class)[name]
    is_optional = False
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        is_optional = len(parts) < len(get_args(hint))
        hint = parts[0] if len(parts) == 1 else str  # a number or a formula is asked for as text
    if get_origin(hint) is Literal:
        return "choice", is_optional, [str(choice) for choice in get_args(hint)]
    if get_origin(hint) is tuple:
        return "list", is_optional, []
    kinds: dict[Any, Kind] = {bool: "flag", int: "whole", float: "number", str: "text"}
    return (kinds[hint], is_optional, []) if hint in kinds else None


@cache
def _hints(config_class: type) -> dict[str, Any]:
    return get_type_hints(config_class)


def as_text(value: Any) -> str:
    """Return a setting's value as the form shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.0f}" if value == int(value) and abs(value) < 1e6 else repr(value)
    if isinstance(value, tuple):
        return ("\n" if value and isinstance(value[0], str) else ", ").join(map(str, value))
    return str(value)


def _placeholder(doc: str, is_optional: bool) -> str:
    """Return what stands in an empty field: what leaving it out means, in the docstring's own words."""
    if not is_optional:
        return ""
    _, found, rest = doc.partition("left out: ")
    return rest.split(". ")[0].split(" (")[0].rstrip(".") if found else "not set"


def _unit(name: str, table: str) -> str:
    if name.endswith("_fraction") or name in ("top_p", "min_p", "dropout", "ngram_dropout", "beta1", "beta2"):
        return "share"
    if name.endswith("_tokens"):
        return "tokens"
    return UNITS.get(name, "")


@cache
def limits(config_class: type, name: str) -> tuple[float | None, float | None]:
    """Return the smallest and the largest value a setting accepts, by asking the dataclass with its defaults."""

    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(config_class)
    missing = dataclasses.MISSING
    needed = {field.name: "" for field in fields if field.default is missing and field.default_factory is missing}

    def accepts(value: float) -> bool:
        try:
            dataclasses.replace(config_class(**needed), **{name: value})
            return True
        except ConfigError as error:
            return f"{name} is " not in str(error)  # another setting minds, not this one

    described = describe_type(config_class, name)
    if described and described[0] == "whole":
        return None if accepts(-1) else next((float(n) for n in (0, 1, 2, 257) if accepts(n)), 0.0), None
    low = None if accepts(-1.0) else 0.0
    return low, None if accepts(2.0) or not accepts(0.5) else 1.0
