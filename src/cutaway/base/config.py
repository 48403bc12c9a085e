"""Settings on paper: frozen dataclasses to commented TOML and back.

The docstring under a field is its only documentation: the comment in the TOML file, the help of the command line and
the forms of the lab are all made from it. Reading is strict: an unknown name or a value of the wrong kind is an error
that names the place.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import tomllib
import types
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cutaway.base.errors import ConfigError, suggest

Config = TypeVar("Config")


def field_docs(config_class: type) -> dict[str, str]:
    """Return the docstring of every field of a dataclass, by name, on one line each."""
    with _parsing:
        return _parsed_docs(config_class)


_parsing = threading.Lock()
"""Python 3.11's own parser must not parse in two threads at once when one of them is short of stack (SystemError)."""


@cache
def _parsed_docs(config_class: type) -> dict[str, str]:
    import docstring_parser

    parsed = docstring_parser.parse_from_object(config_class)
    return {param.arg_name: " ".join((param.description or "").split()) for param in parsed.params}


def to_toml(config: Any, heading: str = "") -> str:
    """Return a dataclass as a TOML document, every setting preceded by what it means.

    Settings that are None have no TOML form; they stand there commented out.
    """
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    _write_table(config, (), lines)
    return "\n".join(lines).strip() + "\n"


def _write_table(config: Any, path: tuple[str, ...], lines: list[str]) -> None:
    docs = field_docs(type(config))
    tables = []
    if path:
        lines += ["", f"[{'.'.join(path)}]"]
    kinds = getattr(type(config), "toml_kind", None)
    if kinds:
        lines.append(f"kind = {_toml_value(kinds)}")
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            tables.append((field.name, value))
            continue
        if docs.get(field.name):
            lines.append(f"# {docs[field.name]}")
        lines.append(f"# {field.name} = (not set)" if value is None else f"{field.name} = {_toml_value(value)}")
    for name, value in tables:
        _write_table(value, (*path, name), lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        if not math.isfinite(value):
            return repr(value)
        return repr(value) if "." in repr(value) or "e" in repr(value) else f"{value!r}.0"
    return repr(value)


def read_toml(config_class: type[Config], path: Path) -> Config:
    """Read a dataclass from a TOML file.

    Raises:
        ConfigError: the file is missing, is not TOML, or has a name or value that does not fit.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; expected a recipe in TOML") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a readable TOML file: {error}") from None
    try:
        return from_table(config_class, table)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def from_table(config_class: type[Config], table: dict[str, Any], path: str = "") -> Config:
    """Build a dataclass from nested dictionaries; settings left out keep their defaults.

    Raises:
        ConfigError: an unknown setting, or a value of the wrong kind.
    """
    hints = get_type_hints(config_class)
    fields = {field.name: field for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    values = {}
    for name, value in table.items():
        place = f"{path}.{name}" if path else name
        if name == "kind" and getattr(config_class, "toml_kind", None):
            continue
        if name not in fields:
            raise ConfigError(f"unknown setting {place!r}{suggest(name, fields)}")
        values[name] = _convert(hints[name], value, place)
    needed = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    for name in needed:
        if name not in values:
            raise ConfigError(f"setting {f'{path}.{name}' if path else name!r} is missing")
    return config_class(**values)


def _convert(hint: Any, value: Any, place: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        classes = [arg for arg in args if dataclasses.is_dataclass(arg)]
        if classes and isinstance(value, dict):
            return from_table(_choose(classes, value, place), value, place)
        for arg in args:
            if arg is not type(None):
                try:
                    return _convert(arg, value, place)
                except ConfigError:
                    continue
    elif origin is Literal:
        if value in args:
            return value
        raise ConfigError(f"{place} is {value!r}; expected one of {', '.join(map(repr, args))}")
    elif origin is tuple and isinstance(value, list):
        item = args[0]
        return tuple(_convert(item, one, f"{place}[{i}]") for i, one in enumerate(value))
    elif dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_table(hint, value, place)  # type: ignore[arg-type]
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif hint in (int, str, bool) and type(value) is hint:
        return value
    raise ConfigError(f"{place} is {value!r}; expected {_describe(hint)}")


def _choose(classes: list[Any], value: dict[str, Any], place: str) -> Any:
    if len(classes) == 1:
        return classes[0]
    kinds = {cls.toml_kind: cls for cls in classes}
    kind = value.get("kind", next(iter(kinds)))
    if kind not in kinds:
        raise ConfigError(f"{place}.kind is {kind!r}; expected one of {', '.join(map(repr, kinds))}")
    return kinds[kind]


def _describe(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(arg) for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is tuple:
        return "a list"
    names = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}
    return names.get(hint, "a table")
