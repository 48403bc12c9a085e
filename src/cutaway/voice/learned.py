"""What a model was trained on and what it never saw: both sides of a writing folder, kept apart.

The texts are the answers of train.jsonl and held_out.jsonl, joined piece by piece: exactly what training read, no more. A
piece on both sides, or a held-out text that stands whole in training, would make every measure false: it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cutaway.base.errors import DataError
from cutaway.base.seed import numpy_generator
from cutaway.interop.conversations import Conversation, read_conversations
from cutaway.voice.answers import Prompt
from cutaway.voice.canaries import CONTINUED
from cutaway.voice.exposure import Secret
from cutaway.voice.memorization import texts_of

WHOLE = ("essay", "note", "message", "draft")
"""Tiers whose answer is a whole piece."""
LEAST_WORDS = 13
"""A held-out text of fewer may stand in a longer one by chance."""


@dataclass(frozen=True)
class Learned:
    """Both sides of a writing folder."""

    train: tuple[Conversation, ...]
    held_out: tuple[Conversation, ...]
    train_texts: dict[str, str]
    """By the piece's name: what was trained on of it."""
    held_out_texts: dict[str, str]
    titles: dict[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    """Planted in training, to be looked for."""

    def title(self, source: str) -> str:
        """Return a piece's title, its name if it has none."""
        return self.titles.get(source) or source

    def sample(self, most: int, seed: int) -> list[Conversation]:
        """Return at most so many training pairs, pieces in turn, so that each has its part."""
        order = numpy_generator(seed, "training pairs").permutation(len(self.train))
        by_source: dict[str, list[Conversation]] = {}
        for i in order:
            by_source.setdefault(source_of(self.train[i], int(i)), []).append(self.train[i])
        turns = max(map(len, by_source.values()), default=0)
        in_turn = [mine[turn] for turn in range(turns) for mine in by_source.values() if turn < len(mine)]
        return in_turn[:most]

    def prompts(self, pieces: int, each: int, max_tokens: int) -> list[Prompt]:
        """Return prompts of held-out pieces, so that what a model answers is on the topics of its yardstick.

        Args:
            pieces: at most so many.
            each: prompts of each, those for the whole piece first.
        """
        by_source: dict[str, dict[str, int]] = {}
        for number, one in enumerate(self.held_out):
            asked = next((turn.content for turn in one.messages if turn.role == "user"), "")
            is_whole = one.about.get("tier") in WHOLE and not asked.startswith(CONTINUED)
            by_source.setdefault(source_of(one, number), {}).setdefault(asked, 0 if is_whole else 1)
        return [
            Prompt(f"held-out-{place}-{number}", "held out", asked, max_tokens, source)
            for place, source in enumerate(sorted(by_source)[:pieces], 1)
            for number, asked in enumerate(sorted(by_source[source], key=by_source[source].__getitem__)[:each], 1)
        ]


def source_of(one: Conversation, number: int) -> str:
    """Return the piece a pair is from."""
    return str(one.about.get("source") or f"pair {number + 1}")


def both_sides(
    train: Sequence[Conversation],
    held_out: Sequence[Conversation],
    titles: dict[str, str] | None = None,
    secrets: Sequence[Secret] = (),
) -> Learned:
    """Return both sides after checking that they are apart.

    Raises:
        DataError: a piece is on both sides, or a held-out text stands in training.
    """
    trained, held = texts_of(train), texts_of(held_out)
    if twice := sorted(trained.keys() & held.keys()):
        raise DataError(
            f"the piece {twice[0]!r} is both in training and held out, so nothing measured on it would be true; "
            f"make the pairs again with `cutaway voice pairs`"
        )
    every = "\n\n".join(trained.values())
    for name, text in held.items():
        if len(text.split()) >= LEAST_WORDS and text.strip() in every:
            raise DataError(f"the held-out piece {name!r} stands whole in the training text; make the pairs again")
    return Learned(tuple(train), tuple(held_out), trained, held, titles or {}, tuple(secrets))


def learned(writing: Path) -> Learned:
    """Return both sides of a folder of writing.

    Raises:
        DataError: there are no pairs, nothing is held out, or the sides are not apart.
    """
    if not (writing / "train.jsonl").is_file():
        raise DataError(f"there are no pairs in {writing}; first: cutaway voice pairs {writing}")
    if not (writing / "held_out.jsonl").is_file() or not (writing / "held_out.jsonl").stat().st_size:
        raise DataError(
            f"{writing} holds nothing out, so a voice cannot be told from a memory; first: cutaway voice pairs {writing}"
        )
    train, held = (read_conversations(writing / f"{side}.jsonl") for side in ("train", "held_out"))
    return both_sides(train, held, titles_of(writing))


def titles_of(writing: Path) -> dict[str, str]:
    """Return the titles of a folder's pieces, by name; none where there are no pieces."""
    path = next((writing / name for name in ("cleaned.jsonl", "pieces.jsonl") if (writing / name).is_file()), None)
    if path is None:
        return {}
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip())
    return {str(one.get("name")): str(one.get("title") or "") for one in lines}
