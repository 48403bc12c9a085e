"""Messages of a conversation as the one text a model reads.

A model trained on conversations says how it wants them in a template (Jinja, in tokenizer_config.json or
chat_template.jinja), which is run in a sandbox. A model without one has never seen a conversation, and gets what it knows:
one text to go on with. What it wrote (`assistant`) follows directly on what was before, every other message begins on a
new line, and the answer goes on from the end of the last message.

For training, a conversation is parted into what is given and what is to be learned (`segments`): the answer begins where
the template says an answer follows, and ends with the template's own mark of the end. A base that is to learn answering
gets `PLAIN_TEMPLATE`; kept beside the tuned model it makes every tool ask in the form the model was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutaway.base.errors import ModelFormatError, TokenizerError, UsageError
from cutaway.text.tokenizer_files import read_json, special_token

if TYPE_CHECKING:
    from jinja2 import Template

CONFIG, TEMPLATE = "tokenizer_config.json", "chat_template.jinja"
LARGEST_TEXT = 4 << 20
PLAIN_TEMPLATE = (
    "{% for message in messages %}{% if not loop.first %}{{ '\\n\\n' }}{% endif %}"
    "{{ '### ' + {'user': 'Prompt', 'assistant': 'Response'}.get(message['role'], 'System') + ':\\n' }}"
    "{{ message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\n### Response:\\n' }}{% endif %}"
)
"""The plain delimiters of models that come without a template."""


@dataclass(frozen=True)
class ChatText:
    """A conversation as text."""

    text: str
    has_marks: bool
    """Whether a template wrote it, with the marks of beginning and end that the model wants."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a conversation's text."""

    text: str
    is_response: bool
    """Whether the model is to learn to write it."""


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


def segments(folder: Path, messages: Sequence[dict[str, str]]) -> list[Segment]:
    """Return a conversation in the form this folder's model is trained on, parted into given and to be learned.

    The texts joined are the whole text. Marks are in it: a tokenizer must not add its own.

    Raises:
        UsageError: no message is an answer, or the template refuses them.
        ModelFormatError: the template is broken, or writes an answer elsewhere than where it says an answer follows.
    """
    template, marks = read_template(folder)
    return segments_of(template if template is not None else PLAIN_TEMPLATE, marks, messages)


def segments_of(template: str, marks: dict[str, str], messages: Sequence[dict[str, str]]) -> list[Segment]:
    """Return `segments` for a template in hand."""
    found: list[Segment] = []
    done = ""
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        given = render(template, marks, messages[:index]) if index else ""
        whole = render(template, marks, messages[: index + 1], answer_follows=False)
        if not (given.startswith(done) and whole.startswith(given)):
            raise ModelFormatError(
                f"the chat template does not write message {index + 1} where it says an answer follows, so the answer "
                f"cannot be told from the prompt; train on prompt and completion with a plain template instead"
            )
        found += [Segment(given[len(done) :], False), Segment(whole[len(given) :], True)]
        done = whole
    if not found:
        raise UsageError("no message is an answer (role assistant); there is nothing to learn")
    return [segment for segment in found if segment.text]


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


def render(
    template: str, marks: dict[str, str], messages: Sequence[dict[str, str]], *, answer_follows: bool = True
) -> str:
    """Run a template as `transformers` does."""
    from jinja2 import TemplateError

    try:
        pieces, length = [], 0
        for piece in _compiled(template).generate(
            messages=list(messages), add_generation_prompt=answer_follows, tools=None, documents=None, **marks
        ):
            pieces.append(piece)
            if (length := length + len(piece)) > LARGEST_TEXT:
                raise ModelFormatError("the model's chat template writes without end")
    except (TemplateError, TypeError, ArithmeticError, LookupError, AttributeError, ValueError) as error:
        raise ModelFormatError(f"the model's chat template cannot be used: {error}") from error
    return "".join(pieces)


@lru_cache(maxsize=8)
def _compiled(template: str) -> Template:
    """Return a template made ready, once: a thousand conversations are written with the same one."""
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
    return environment.from_string(template)
