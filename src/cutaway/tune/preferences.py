"""Pairs of answers to the same prompt, one of which is preferred: read, written, and as tokens.

    {"prompt": [{"role": "user", "content": ..}], "chosen": [{"role": "assistant", ..}], "rejected": [..]}

One a line, as TRL reads them; prompt, chosen and rejected may be plain strings too. Answers are cut to the same number of
tokens, since the sums of log-probabilities that are compared grow with the length. The end of an answer is
learned only where the answer has not been cut, by us or by whoever wrote it (`cut`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cutaway.base.errors import DataError
from cutaway.base.files import replacing_file
from cutaway.interop.conversations import Conversation, Message, read_conversations
from cutaway.tune.chat_form import ChatForm
from cutaway.tune.examples import Example, make_example

MOST_TOKENS = 200
CUT = "cut"


@dataclass(frozen=True)
class Preference:
    """A prompt with two answers."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    about: dict[str, Any] = field(default_factory=dict)
    """What else is known: its source; under `cut` which answers have no end of their own."""


@dataclass(frozen=True)
class PreferenceExample:
    """Both answers, each after the prompt, ready to learn."""

    chosen: Example
    rejected: Example


def make_preference(
    one: Preference, form: ChatForm, most_tokens: int = MOST_TOKENS, name: str = ""
) -> PreferenceExample:
    """Return both answers as the model reads them.

    Args:
        most_tokens: of an answer; what is behind is left out.

    Raises:
        DataError: an answer is empty, or both are the same.
    """
    if one.chosen.strip() == one.rejected.strip():
        raise DataError(f"{name or 'a preference'}: both answers are the same, so there is nothing to prefer")
    cut_before = one.about.get(CUT) or ()
    sides = []
    for side, answer in (("chosen", one.chosen), ("rejected", one.rejected)):
        whole = Conversation((*one.prompt, Message("assistant", answer)), one.about)
        example = make_example(whole, form, f"{name} ({side})" if name else side)
        sides.append(_cut(example, form.stop_id, most_tokens, side in cut_before))
    return PreferenceExample(*sides)


def _cut(example: Example, stop_id: int, most_tokens: int, has_no_end: bool) -> Example:
    """Leave out what is behind so many tokens of the last answer, and the end of one that has none of its own."""
    is_learned = example.is_learned.copy()
    places = np.flatnonzero(is_learned)
    start = places[np.flatnonzero(np.diff(places) > 1)[-1] + 1] if (np.diff(places) > 1).any() else places[0]
    is_learned[:start] = False  # only the last answer is compared
    tokens = example.tokens
    if has_no_end:
        is_learned[np.flatnonzero(is_learned & (tokens == stop_id))] = False
    end = min(len(tokens), int(start) + most_tokens, int(np.flatnonzero(is_learned)[-1]) + 1)
    return dataclasses.replace(example, tokens=tokens[:end], is_learned=is_learned[:end])


def write_preferences(path: Path, preferences: Sequence[Preference]) -> None:
    """Write preferences, one a line."""
    with replacing_file(path) as aside, aside.open("w", encoding="utf-8") as file:
        for one in preferences:
            record = {
                "prompt": [dataclasses.asdict(message) for message in one.prompt],
                "chosen": [{"role": "assistant", "content": one.chosen}],
                "rejected": [{"role": "assistant", "content": one.rejected}],
                **one.about,
            }
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_preferences(path: Path) -> list[Preference]:
    """Read a file of preferences.

    Raises:
        DataError: there is no such file, a line is broken, or there is nothing; the line is named.
    """
    return [preference_of(one, f"{path}, {number}") for number, one in enumerate(read_conversations(path), 1)]


def preference_of(one: Conversation, name: str = "a pair") -> Preference:
    """Return a conversation that ends with the chosen answer and has the rejected one beside it.

    Raises:
        DataError: there is no rejected answer, or no prompt.
    """
    value = one.about.get("rejected")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0].get("content")
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{name}: `rejected` is not one answer with text in it")
    if len(one.messages) < 2 or one.messages[-1].role != "assistant":
        raise DataError(f"{name}: expected a prompt and a chosen answer after it")
    about = {key: what for key, what in one.about.items() if key != "rejected"}
    return Preference(one.messages[:-1], one.messages[-1].content, value, about)
