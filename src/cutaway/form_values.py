"""A filled form: from the texts a person typed to a recipe, what is wrong with them, and the command they amount to."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from cutaway.base.errors import ConfigError, suggest
from cutaway.form import GROUPS, as_text, dashed, describe_type, is_asked
from cutaway.presets import with_changes
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe

BUILT_IN_SOURCES = ("stdlib", "stdlib_names")
BUILT_IN_PICTURES = "creatures"


@dataclass(frozen=True)
class Filled:
    """What a filled form says."""

    recipe: Recipe | PaintRecipe
    """With the settings that are right; those that are wrong keep the preset's value."""
    errors: dict[str, str]
    """What is wrong, in one line, by the setting's path."""
    changed: dict[str, Any]
    """The settings that differ from the preset's."""

    @property
    def words(self) -> list[str]:
        """The changed settings as words of the command line."""
        return [word for path, value in self.changed.items() for word in _words(path, value)]


def train_words(start: Sequence[str], words: Sequence[str], name: str = "") -> list[str]:
    """Return the words after `cutaway` of a training: what is trained, what the run is called, the settings."""
    return [*start, *(["--name", name] if name else []), *words]


def fill(base: Recipe | PaintRecipe, values: Mapping[str, str]) -> Filled:
    """Read a form's values on top of a recipe.

    Args:
        values: text by path; settings left out keep the recipe's value.
    """
    errors: dict[str, str] = {}
    changed: dict[str, Any] = {}
    for path, text in values.items():
        try:
            value = read_value(base, path, text)
            if value != current(base, path):
                changed[path] = value
        except ConfigError as error:
            errors[path] = str(error)
    recipe = base
    while True:
        try:
            recipe = with_changes(base, _replaced(base, changed))
            break
        except ConfigError as error:
            path = culprit(str(error), changed)
            errors[path] = str(error)
            changed = {other: value for other, value in changed.items() if other != path} if path in changed else {}
    errors |= {path: line for path, line in check_together(recipe).items() if path not in errors}
    return Filled(recipe, errors, changed)


def current(recipe: Recipe | PaintRecipe, path: str) -> Any:
    """Return a recipe's value of a setting."""
    config, name = _find(recipe, path)
    return getattr(config, name)


def _find(recipe: Recipe | PaintRecipe, path: str) -> tuple[Any, str]:
    """Return the dataclass that has a setting, and its name there.

    Raises:
        ConfigError: there is no such setting, or it is not a person's to set.
    """
    table, _, name = path.replace("-", "_").rpartition(".")
    config = getattr(recipe, table, None) if table in GROUPS else recipe if not table else None
    known = [field.name for field in dataclasses.fields(config)] if config is not None else []
    if name not in known or not is_asked(config, table, name):
        raise ConfigError(f"there is no setting {path!r}{suggest(name, known)}")
    return config, name


def read_value(recipe: Recipe | PaintRecipe, path: str, text: str) -> Any:
    """Return a typed text as the value of a setting.

    Raises:
        ConfigError: it is not of the kind the setting takes.
    """
    config, name = _find(recipe, path)
    described = describe_type(type(config), name)
    assert described is not None
    kind, is_optional, choices = described
    said = text.strip()
    if "\0" in text:
        raise ConfigError(f"{path.replace('-', '_')} has a character of value 0, which no command can have")
    if is_optional and not said:
        return None
    place = path.replace("-", "_")
    try:
        if kind == "whole":
            return int(said.replace("_", "").replace(",", ""))
        if kind == "number":
            return float(said)
        if kind == "list":
            item = get_args(get_type_hints(type(config))[name])[0]
            parts = text.split("\n") if item is str else re.split(r"[,\s]+", said.strip("()[]"))
            return tuple(item(part) for part in parts if part)
    except ValueError:
        expected = {"whole": "a whole number", "number": "a number"}.get(kind, "whole numbers, separated by commas")
        raise ConfigError(f"{place} is {said!r}; expected {expected}") from None
    if kind == "flag":
        if said not in ("true", "false"):
            raise ConfigError(f"{place} is {said!r}; expected true or false")
        return said == "true"
    if kind == "choice":
        if said not in choices:
            raise ConfigError(f"{place} is {said!r}; expected one of {', '.join(choices)}")
        return said
    if get_type_hints(type(config))[name] is not str:  # a number or a formula
        try:
            return float(said)
        except ValueError:
            return said
    return text if name == "prompt" else said


def _replaced(base: Any, changed: dict[str, Any]) -> Any:
    tables: dict[str, dict[str, Any]] = {}
    for path, value in changed.items():
        table, _, name = path.replace("-", "_").rpartition(".")
        tables.setdefault(table, {})[name] = value
    outer = tables.pop("", {})
    inner = {table: dataclasses.replace(getattr(base, table), **fields) for table, fields in tables.items()}
    return dataclasses.replace(base, **outer, **inner)


def culprit(message: str, changed: dict[str, Any]) -> str:
    """Return the setting a message is about: the first one it names that was changed, else the first it names."""
    named = [dashed(path) for path in re.findall(rf"\b(?:{'|'.join(GROUPS)})\.\w+", message)]
    ours = [path for path in named if path in changed]
    return (ours or named or list(changed) or [""])[0]


def check_together(recipe: Recipe | PaintRecipe) -> dict[str, str]:
    """Return what is wrong with settings that are right one by one, as far as it can be said at once."""
    errors: dict[str, str] = {}
    train = recipe.train
    if not any((train.minutes, train.steps, train.epochs, train.tokens)):
        errors["train.minutes"] = (
            "how long to train is not said; set one of train.minutes, train.steps, train.epochs, train.tokens"
        )
    place = "pictures.source" if isinstance(recipe, PaintRecipe) else "data.source"
    try:
        errors |= _check_pictures(recipe) if isinstance(recipe, PaintRecipe) else _check_source(recipe)
    except (OSError, RuntimeError) as error:  # not ours to read, a name too long, a home folder of nobody
        errors[place] = f"{current(recipe, place)!r} cannot be read: {getattr(error, 'strerror', None) or error}"
    return errors


def _check_pictures(recipe: PaintRecipe) -> dict[str, str]:
    source = recipe.pictures.source
    if source == BUILT_IN_PICTURES or (source and Path(source).expanduser().exists()):
        return {}
    return {
        "pictures.source": f"there is no file or folder {source!r}; expected {BUILT_IN_PICTURES}, a file or a folder"
    }


def _check_source(recipe: Recipe) -> dict[str, str]:
    errors: dict[str, str] = {}
    data = recipe.data
    if data.source not in BUILT_IN_SOURCES:
        path = Path(data.source).expanduser()
        if not data.source:
            errors["data.source"] = "data.source is empty; expected stdlib, stdlib_names, a file, a folder or a pattern"
        elif not any(sign in data.source for sign in "*?[") and not path.exists():
            errors["data.source"] = f"there is no file or folder {data.source!r}"
        elif path.is_file() and data.documents == "file" and data.tokenizer == "characters":
            size, context = path.stat().st_size, recipe.model.context_length
            if size * (1 - data.validation_fraction) < context + 1:
                errors["model.context-length"] = (
                    f"the text has at most {size:,} characters, too few for one window of context {context}; "
                    f"use more text or a smaller model.context-length"
                )
    return errors


def _words(path: str, value: Any) -> list[str]:
    flag = f"--{path}"
    if isinstance(value, bool):
        table, _, name = path.rpartition(".")
        return [flag] if value else [f"--{table}.no-{name}" if table else f"--no-{name}"]
    if value is None:
        return [flag, "None"]
    if isinstance(value, tuple):
        return [flag, *map(str, value)]
    text = as_text(value)
    return [f"{flag}={text}"] if text.startswith("-") or not text else [flag, text]
