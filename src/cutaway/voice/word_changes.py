"""What differs between two texts, word by word: parts they share, parts only the first has, parts only the second has.

The longest common subsequence by parts (`difflib`), on words, marks and blanks. Two different texts share many single
words by chance ("the", "of"); a shared part of fewer than `fewest_words` words counts as different, so that what stays
marked as shared is really the same wording.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

PART = re.compile(r"\w+(?:['\u2019]\w+)*|\s+|[^\w\s]")
MOST_PARTS = 20_000
"""Beyond, only what is equal at both ends is told apart: comparing takes time that grows with the square."""


class Part(NamedTuple):
    """A stretch of text and where it stands."""

    where: Literal["both", "first", "second"]
    text: str


def word_changes(first: str, second: str, fewest_words: int = 1) -> list[Part]:
    """Return both texts as parts in order: all but `second` make the first text, all but `first` the second."""
    if first == second:
        return [Part("both", first)] if first else []
    one, two = PART.findall(first), PART.findall(second)
    found: list[Part] = []
    held_first, held_second = "", ""

    def flush() -> None:
        nonlocal held_first, held_second
        if held_first:
            found.append(Part("first", held_first))
        if held_second:
            found.append(Part("second", held_second))
        held_first = held_second = ""

    at_one = at_two = 0
    for block in _blocks(one, two):
        held_first += "".join(one[at_one : block.a])
        held_second += "".join(two[at_two : block.b])
        at_one, at_two = block.a + block.size, block.b + block.size
        text = "".join(one[block.a : at_one])
        if sum(part[0].isalnum() for part in one[block.a : at_one]) >= fewest_words:
            flush()
            found.append(Part("both", text))
        else:
            held_first, held_second = held_first + text, held_second + text
    held_first += "".join(one[at_one:])
    held_second += "".join(two[at_two:])
    flush()
    return found


class _Block(NamedTuple):
    a: int
    b: int
    size: int


def _blocks(one: list[str], two: list[str]) -> list[_Block]:
    if len(one) + len(two) <= MOST_PARTS:
        return [_Block(*block) for block in SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks()]
    shorter = min(len(one), len(two))
    head = next((i for i in range(shorter) if one[i] != two[i]), shorter)
    tail = next((i for i in range(shorter - head) if one[-1 - i] != two[-1 - i]), shorter - head)
    return [_Block(0, 0, head), _Block(len(one) - tail, len(two) - tail, tail)]
