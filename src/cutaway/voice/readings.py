"""Conversations as a model reads them: token ids, and which of them are its answer.

What the measurements of this package read must be what training read, mark for mark, or they measure something else.
The template is that of the tuned model's folder, for the model it was tuned from as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cutaway.interop.chat_template import segments
from cutaway.interop.conversations import Conversation
from cutaway.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reading:
    """One conversation, ready for a model."""

    source: str
    """The document it was cut from; pairs of one document are not independent."""
    tier: str
    ids: tuple[int, ...]
    is_target: tuple[bool, ...]
    """Whether a token is part of the answer, its mark of the end included."""
    prompt: str
    response: str

    @property
    def first_target(self) -> int:
        """Where the answer begins, in tokens."""
        return self.is_target.index(True) if True in self.is_target else len(self.ids)


def readings(tokenizer: Tokenizer, conversations: Sequence[Conversation], folder: Path) -> list[Reading]:
    """Return every conversation as the model of this folder is trained on it."""
    return [read(tokenizer, one, folder, f"pair {number}") for number, one in enumerate(conversations, 1)]


def read(tokenizer: Tokenizer, one: Conversation, folder: Path, name: str = "pair") -> Reading:
    """Return one conversation; `name` names its document where it does not say which it is from."""
    ids: list[int] = []
    is_target: list[bool] = []
    for segment in segments(folder, one.plain()):
        mine = tokenizer.encode(segment.text)
        ids += mine
        is_target += [segment.is_response] * len(mine)
    said = {role: [turn.content for turn in one.messages if turn.role == role] for role in ("user", "assistant")}
    return Reading(
        str(one.about.get("source") or name),
        str(one.about.get("tier") or ""),
        tuple(ids),
        tuple(is_target),
        "\n\n".join(said["user"]),
        "\n\n".join(said["assistant"]),
    )
