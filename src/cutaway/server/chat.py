"""Messages of a conversation as the one text a model reads.

A model trained on conversations says how it wants them in a template (Jinja, in tokenizer_config.json or
chat_template.jinja), which is run in a sandbox. A model without one has never seen a conversation, and gets what it knows:
one text to go on with. What it wrote (`assistant`) follows directly on what was before, every other message begins on a
new line, and the answer goes on from the end of the last message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cutaway.base.errors import ModelFormatError, TokenizerError, UsageError
from cutaway.text.tokenizer_files import read_json, special_token

CONFIG, TEMPLATE = "tokenizer_config.json", "chat_template.jinja"
LARGEST_TEXT = 4 << 20


@dataclass(frozen=True)
class ChatText:
    """A conversation as text."""

    text: str
    has_marks: bool
    """Whether a template wrote it, with the marks of beginning and end that the model wants."""


def chat_text(folder: Path, messages: Sequence[dict[str, str]]) -> ChatText:
    """Return a conversation as the model of this folder reads it, ready for its answer.

    Args:
        messages: each with `role` and `content`.

    Raises:
        UsageError: there is no message, or the template refuses them.
        ModelFormatError: the template is broken.
    """
    if not messages:
        raise UsageError("messages is empty; expected at least one message")
    template, marks = read_template(folder)
    if template is None:
        return ChatText(plain_text(messages), False)
    return ChatText(render(template, marks, messages), True)


def plain_text(messages: Sequence[dict[str, str]]) -> str:
    """Return the messages as one text to go on with."""
    text = ""
    for message in messages:
        if text and message["role"] != "assistant" and not text.endswith("\n"):
            text += "\n"
        text += message["content"]
    return text


def read_template(folder: Path) -> tuple[str | None, dict[str, str]]:
    """Return a folder's chat template, if it has one, and the special tokens it may name."""
    config: dict[str, Any] = {}
    try:
        if (folder / CONFIG).is_file():
            config = read_json(folder / CONFIG)
        own = (folder / TEMPLATE).read_text(encoding="utf-8") if (folder / TEMPLATE).is_file() else None
    except (TokenizerError, OSError, UnicodeDecodeError) as error:
        raise ModelFormatError(f"the chat template of {folder} cannot be read: {error}") from error
    template = own or config.get("chat_template")
    if isinstance(template, list):  # several by name, for conversations with tools, documents, ...
        named = {one.get("name"): one.get("template") for one in template if isinstance(one, dict)}
        template = named.get("default")
    marks = {name: special_token(config, name) or "" for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    return (template if isinstance(template, str) else None), marks


def render(template: str, marks: dict[str, str], messages: Sequence[dict[str, str]]) -> str:
    """Run a template as `transformers` does, with an answer to follow."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise UsageError(f"the model's chat template refuses these messages: {message}")

    def as_json(value: Any, indent: int | None = None, ensure_ascii: bool = False, **others: Any) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, **others)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = as_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        pieces, length = [], 0
        for piece in environment.from_string(template).generate(
            messages=list(messages), add_generation_prompt=True, tools=None, documents=None, **marks
        ):
            pieces.append(piece)
            if (length := length + len(piece)) > LARGEST_TEXT:
                raise ModelFormatError("the model's chat template writes without end")
    except (TemplateError, TypeError, ArithmeticError, LookupError, AttributeError, ValueError) as error:
        raise ModelFormatError(f"the model's chat template cannot be used: {error}") from error
    return "".join(pieces)
