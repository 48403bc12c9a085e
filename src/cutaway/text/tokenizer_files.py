"""The files every tokenizer is kept in: tokenizer.json and tokenizer_config.json, as Hugging Face tools
expect them."""

from __future__ import annotations

import json
from pathlib import Path

from cutaway.base.errors import TokenizerError
from cutaway.base.files import write_text

SEPARATOR = "<|endoftext|>"
"""Stands before every document; generating it ends the text. GPT-2's name, so other tools know it too."""
UNKNOWN = "<|unknown|>"
"""Stands for every character outside the vocabulary."""


def write_tokenizer(
    folder: Path, tokenizer_json: str, *, separator: str | None, end: str | None = None, unknown: str | None = None
) -> None:
    """Write both files whole or not at all.

    Args:
        end: ends a text, where that is another token than the separator.
    """
    config: dict[str, str | bool] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
    }
    if separator is not None:
        config["bos_token"] = separator
    if ends := end or separator:
        config["eos_token"] = ends
    if unknown is not None:
        config["unk_token"] = unknown
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "tokenizer.json", tokenizer_json + "\n")
    write_text(folder / "tokenizer_config.json", json.dumps(config, indent=1) + "\n")


def read_json(path: Path) -> dict:
    """Return a JSON file's object.

    Raises:
        TokenizerError: the file cannot be read or is not a JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TokenizerError(f"cannot read the tokenizer file {path}: {error}; copy or save it again") from error
    if not isinstance(data, dict):
        raise TokenizerError(f"the tokenizer file {path} is not a JSON object; copy or save it again")
    return data


def special_token(config: dict, key: str) -> str | None:
    """Return the text of a special token, written as a string or as an object with its content."""
    value = config.get(key)
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None
