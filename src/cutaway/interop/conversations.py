"""Files of prompts and answers as other tools keep them, read and written.

    messages    {"messages": [{"role": "user", "content": ..}, {"role": "assistant", ..}]}     OpenAI, TRL, ...
    prompt      {"prompt": .., "completion": ..}
    sharegpt    {"conversations": [{"from": "human", "value": ..}, {"from": "gpt", ..}]}
    alpaca      {"instruction": .., "input": .., "output": .., "system": .., "history": [[.., ..]]}
    text        ### Prompt / ### Response / ### End, each on a line of its own

The first four are JSON, one object a line (JSONL) or one list. What a line says besides (where it came from) is kept.
Read, but not written here, are pairs of answers ({"prompt": .., "chosen": .., "rejected": ..}, tune/preferences.py): the
chosen one is the answer, the other is kept beside it.
What was written reads back equal; what a format cannot hold is refused when writing, not lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cutaway.base.errors import DataError, UsageError, suggest
from cutaway.base.files import replacing_file

FORMATS = ("messages", "prompt", "sharegpt", "alpaca", "text")
ROLES = ("system", "user", "assistant")
SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt"}
SHAREGPT_ROLES = {name: role for role, name in SHAREGPT_NAMES.items()} | {"user": "user", "assistant": "assistant"}
TEXT_NAMES = {"system": "System", "user": "Prompt", "assistant": "Response"}
TEXT_ROLES = {name: role for role, name in TEXT_NAMES.items()}
TEXT_MARK = re.compile(r"(\\*)### (System|Prompt|Response|End)")


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class Conversation:
    """Turns in order; the assistant's are those to learn."""

    messages: tuple[Message, ...]
    about: dict[str, Any] = field(default_factory=dict)
    """What else the file says of it: where it came from, its date, ..."""

    def plain(self) -> list[dict[str, str]]:
        """Return the messages as chat templates want them."""
        return [{"role": message.role, "content": message.content} for message in self.messages]


def conversation(prompt: str, response: str, **about: Any) -> Conversation:
    """Return one question with its answer."""
    return Conversation((Message("user", prompt), Message("assistant", response)), about)


def read_conversations(path: Path, form: str | None = None) -> list[Conversation]:
    """Read a file of any of the formats, found by looking if not named.

    Raises:
        DataError: a line is broken, an answer is empty, or there is nothing; the line is named.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path} is not UTF-8 at line {line}; save it as UTF-8") from error
    if form is not None:
        _check_form(form)
    if form == "text" or (form is None and TEXT_MARK.match(text)):
        found = list(_parse_text(text, path))
    else:
        found = [_parse_record(record, place, form) for place, record in _json_records(text, path)]
    if not found:
        raise DataError(f"{path} holds no conversations; expected one of the formats {', '.join(FORMATS)}")
    return found


def write_conversations(path: Path, conversations: Iterable[Conversation], form: str = "messages") -> None:
    """Write conversations whole or not at all, one a line (`text`: marked by lines).

    Raises:
        UsageError: there is no such format, or it cannot hold one of the conversations.
    """
    _check_form(form)
    with replacing_file(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        for number, one in enumerate(conversations, 1):
            if form == "text":
                file.write(_as_text(one))
            else:
                record = _as_record(one, form, f"conversation {number}")
                file.write(json.dumps(one.about | record, ensure_ascii=False) + "\n")


def _check_form(form: str) -> None:
    if form not in FORMATS:
        raise UsageError(f"there is no format {form!r}{suggest(form, FORMATS)}; there is {', '.join(FORMATS)}")


def _json_records(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, object) of JSONL or of one JSON list."""
    if text.lstrip().startswith("["):
        try:
            records = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            line = f" at line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
            raise DataError(f"{path} is broken JSON{line}") from error
        numbered = [(f"{path}, entry {number}", record) for number, record in enumerate(records, 1)]
    else:
        numbered = []
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    numbered.append((f"{path}, line {number}", json.loads(line)))
                except (json.JSONDecodeError, RecursionError) as error:
                    why = (
                        f"{error.msg} at column {error.colno}"
                        if isinstance(error, json.JSONDecodeError)
                        else "too deep"
                    )
                    raise DataError(
                        f"{path} is broken JSON at line {number}: {why}; mend or delete the line"
                    ) from error
    for place, record in numbered:
        if not isinstance(record, dict):
            raise DataError(f"{place}: expected a JSON object, got {type(record).__name__}")
        yield place, record


def _parse_record(record: dict[str, Any], place: str, form: str | None) -> Conversation:
    form = form or _form_of(record, place)
    if form == "messages":
        messages = [
            _message(turn, "role", "content", {role: role for role in ROLES}, place)
            for turn in _list(record, "messages", place)
        ]
        used = {"messages"}
    elif form == "sharegpt":
        messages = [
            _message(turn, "from", "value", SHAREGPT_ROLES, place) for turn in _list(record, "conversations", place)
        ]
        used = {"conversations"}
    elif form == "preference":
        messages, used = _preference(record, place), {"prompt", "chosen"}
    elif form == "prompt":
        messages = [
            Message("user", _text(record, "prompt", place)),
            Message("assistant", _text(record, "completion", place)),
        ]
        used = {"prompt", "completion"}
    else:
        messages = _alpaca(record, place)
        used = {"instruction", "input", "output", "system", "history"}
    return Conversation(_checked(messages, place), {key: value for key, value in record.items() if key not in used})


def _form_of(record: dict[str, Any], place: str) -> str:
    for key, form in (
        ("rejected", "preference"),
        ("messages", "messages"),
        ("conversations", "sharegpt"),
        ("instruction", "alpaca"),
        ("prompt", "prompt"),
    ):
        if key in record:
            return form
    names = ", ".join(map(repr, record)) or "nothing"
    raise DataError(f"{place}: expected `messages`, `conversations`, `instruction` or `prompt`, got {names}")


def _checked(messages: Sequence[Message], place: str) -> tuple[Message, ...]:
    if not any(message.role == "assistant" for message in messages):
        raise DataError(f"{place}: no answer (role assistant); there is nothing to learn")
    for message in messages:
        if message.role == "assistant" and not message.content.strip():
            raise DataError(f"{place}: the response is empty; write one or delete the line")
    return tuple(messages)


def _message(turn: Any, role_key: str, text_key: str, roles: dict[str, str], place: str) -> Message:
    if not isinstance(turn, dict):
        raise DataError(
            f"{place}: a message is {type(turn).__name__}; expected an object with {role_key} and {text_key}"
        )
    role = _text(turn, role_key, place)
    if role not in roles:
        raise DataError(f"{place}: {role_key} is {role!r}; expected one of {', '.join(dict.fromkeys(roles))}")
    return Message(roles[role], _text(turn, text_key, place))


def _preference(record: dict[str, Any], place: str) -> list[Message]:
    """Return the prompt and the chosen answer of a pair of answers, as TRL writes them."""
    messages = []
    for key, role in (("prompt", "user"), ("chosen", "assistant")):
        if isinstance(record.get(key), list):
            roles = {role: role for role in ROLES}
            messages += [_message(turn, "role", "content", roles, place) for turn in record[key]]
        else:
            messages.append(Message(role, _text(record, key, place)))
    return messages


def _alpaca(record: dict[str, Any], place: str) -> list[Message]:
    prompt, extra = _text(record, "instruction", place), record.get("input") or ""
    messages = [Message("system", _text(record, "system", place))] if record.get("system") else []
    for turn in record.get("history") or []:
        if not (isinstance(turn, list) and len(turn) == 2 and all(isinstance(text, str) for text in turn)):
            raise DataError(f"{place}: history must be a list of [prompt, answer]")
        messages += [Message("user", turn[0]), Message("assistant", turn[1])]
    asked = f"{prompt}\n\n{_text(record, 'input', place)}" if extra else prompt
    return [*messages, Message("user", asked), Message("assistant", _text(record, "output", place))]


def _text(record: dict[str, Any], key: str, place: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise DataError(f"{place}: {key} is {'missing' if value is None else type(value).__name__}; expected text")
    return value


def _list(record: dict[str, Any], key: str, place: str) -> list[Any]:
    value = record.get(key)
    if not isinstance(value, list):
        raise DataError(f"{place}: {key} is {'missing' if value is None else type(value).__name__}; expected a list")
    return value


def _as_record(one: Conversation, form: str, place: str) -> dict[str, Any]:
    messages = one.messages
    if form == "messages":
        return {"messages": one.plain()}
    if form == "sharegpt":
        return {"conversations": [{"from": SHAREGPT_NAMES[turn.role], "value": turn.content} for turn in messages]}
    system = messages[0].content if messages[0].role == "system" else ""
    turns = messages[1:] if messages[0].role == "system" else messages
    if [turn.role for turn in turns] != ["user", "assistant"] * (len(turns) // 2) or not turns:
        raise UsageError(f"{place}: the format {form!r} holds a prompt with its answer only; write `messages` instead")
    if form == "alpaca":
        record: dict[str, Any] = {"instruction": turns[-2].content, "input": "", "output": turns[-1].content}
        if system:
            record["system"] = system
        if len(turns) > 2:
            record["history"] = [[turns[i].content, turns[i + 1].content] for i in range(0, len(turns) - 2, 2)]
        return record
    if len(turns) > 2 or messages[0].role == "system":
        raise UsageError(
            f"{place}: the format 'prompt' holds one prompt with its answer only; write `messages` instead"
        )
    return {"prompt": turns[0].content, "completion": turns[1].content}


def _as_text(one: Conversation) -> str:
    pieces = []
    for message in one.messages:
        lines = [f"\\{line}" if TEXT_MARK.fullmatch(line) else line for line in message.content.split("\n")]
        pieces.append(f"### {TEXT_NAMES[message.role]}\n" + "\n".join(lines) + "\n")
    return "".join(pieces) + "### End\n"


def _parse_text(text: str, path: Path) -> Iterator[Conversation]:
    messages: list[Message] = []
    role, lines, began = "", [""], 1
    for number, line in enumerate(text.split("\n"), 1):
        mark = TEXT_MARK.fullmatch(line)
        if mark is None or mark[1]:
            if not role and line.strip():
                raise DataError(f"{path}, line {number}: text outside of ### Prompt, ### Response and ### End")
            lines.append(line[1:] if mark else line)
            continue
        if role:
            messages.append(Message(role, "\n".join(lines)))
        else:
            began = number
        role, lines = TEXT_ROLES.get(mark[2], ""), []
        if mark[2] == "End":
            yield Conversation(_checked(messages, f"{path}, line {began}"))
            messages = []
    if role:
        raise DataError(f"{path}, line {began}: no ### End after the last response; the file may be cut off")
