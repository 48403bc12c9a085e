"""What fits a model's context: how many pairs whole, which must be split, and where.

A pair that is too long is split at the end of a paragraph: the first part keeps its prompt, every further one is asked to
continue from the last paragraph before it. A paragraph longer than a third of the context is cut at the end of a
sentence, the rest going to the next part. Nothing is thrown away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cutaway.base.errors import DataError
from cutaway.voice.pairs import PROMPTS, Pair

CONTEXTS = (1024, 2048, 8192)
MARKS = 16
"""Tokens kept free for the marks of a template and the stop token, where the model is not known."""
TOKENS_PER_WORD = 1.4

CountTokens = Callable[[str], int]


def estimated(text: str) -> int:
    """Return about how many tokens of a byte-pair tokenizer for English a text has."""
    return round(len(text.split()) * TOKENS_PER_WORD)


@dataclass(frozen=True)
class SplitPair:
    """A pair that did not fit, and where it was parted."""

    source: str
    tier: str
    tokens: int
    parts: int
    after: list[str]
    """The last words before each place."""


@dataclass(frozen=True)
class Budget:
    """A context and what it holds."""

    context: int
    fits: int
    split: list[SplitPair]
    parts: int
    """Pairs there are after splitting."""
    tokens: int
    """Tokens of all pairs before splitting."""
    longest: int


def budget(pairs: Sequence[Pair], context: int, count: CountTokens, marks: int = MARKS) -> tuple[Budget, list[Pair]]:
    """Return what fits a context, and the pairs parted so that all of them do.

    Args:
        marks: tokens a template adds to a prompt and its answer.

    Raises:
        DataError: the head of a prompt alone does not fit, or a single word.
    """
    kept: list[Pair] = []
    parted: list[SplitPair] = []
    lengths = []
    for pair in pairs:
        tokens = count(pair.prompt) + count(pair.response) + marks
        lengths.append(tokens)
        if tokens <= context:
            kept.append(pair)
            continue
        parts = part(pair, context, count, marks)
        kept += parts
        after = [" ".join(one.response.split()[-6:]) for one in parts[:-1]]
        parted.append(SplitPair(pair.source, pair.tier, tokens, len(parts), after))
    return Budget(context, len(pairs) - len(parted), parted, len(kept), sum(lengths), max(lengths, default=0)), kept


def part(pair: Pair, context: int, count: CountTokens, marks: int = MARKS) -> list[Pair]:
    """Part one pair that does not fit.

    Pieces are counted one by one and summed: together they have as many tokens or fewer, as merges only join.
    """
    prompt = _fitting_prompt(pair, context, count, marks)
    parts: list[Pair] = []
    held, tokens = "", 0
    for paragraph in _pieces(pair.response, context // 3, count, pair.source):
        more = count(paragraph)
        if held and count(prompt) + tokens + more + marks > context:
            parts.append(Pair(prompt, held.strip(), pair.tier, pair.source, pair.date))
            before = _tail(held, context // 3, count)
            prompt = PROMPTS["continuation"].format(opening=before)
            held, tokens = paragraph, more
        else:
            held, tokens = held + paragraph, tokens + more
    return [*parts, Pair(prompt, held.strip(), pair.tier, pair.source, pair.date)]


def _fitting_prompt(pair: Pair, context: int, count: CountTokens, marks: int) -> str:
    """A prompt of more than half the context (a long draft, a long opening) leaves no room to learn."""
    if count(pair.prompt) <= context // 2:
        return pair.prompt
    head, _, body = pair.prompt.partition("\n\n")
    cut = f"{head}\n\n{_tail(body, context // 2 - count(head) - marks, count)}"
    if count(cut) > context // 2:
        raise DataError(
            f"a prompt of {pair.source} has {count(pair.prompt)} tokens, more than half the context of {context}"
        )
    return cut


def _pieces(text: str, most: int, count: CountTokens, source: str) -> list[str]:
    """Return paragraphs, those that are too long as sentences; joined they are the text."""
    found = []
    for paragraph in re.split(r"(?<=\n\n)", text):
        if count(paragraph) <= most:
            found.append(paragraph)
            continue
        for sentence in re.split(r"(?<=[.!?] )|(?<=[.!?]\n)", paragraph):
            if count(sentence) <= most:
                found.append(sentence)
            else:
                found += _by_words(sentence, most, count, source)
    return [one for one in found if one]


def _by_words(sentence: str, most: int, count: CountTokens, source: str) -> list[str]:
    """A sentence longer than a third of the context is parted between words."""
    found, held = [], ""
    for word in re.split(r"(?<=\s)", sentence):
        if count(word) > most:
            raise DataError(f"{source} has a word of {count(word)} tokens ({word[:30]!r}...); clean it first")
        if held and count(held + word) > most:
            found.append(held)
            held = ""
        held += word
    return [*found, held]


def _tail(text: str, most: int, count: CountTokens) -> str:
    """Return the last paragraph, or as many of its last sentences as fit."""
    last = text.strip().split("\n\n")[-1]
    sentences = re.split(r"(?<=[.!?]) ", last)
    while len(sentences) > 1 and count(" ".join(sentences)) > most:
        sentences.pop(0)
    words = " ".join(sentences).split(" ")
    while len(words) > 1 and count(" ".join(words)) > most:
        words = words[len(words) // 4 + 1 :] or words[-1:]
    return " ".join(words)
