"""A conversation as tokens, and which of them are learned: the answers, and the token that ends each.

    reads    Prompt : ask me \n Response : because        tokens[:-1]
    learns                              because <stop>    the token that follows, where `is_learned`

What the model is asked is read and not learned: at those positions there is no loss, so no gradient. Learning the questions
too would teach it to ask. Look at an example before training (`marked`): most failures of tuning are a mask that is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int64

from cutaway.base.errors import CutawayError, DataError, TokenizerError
from cutaway.base.seed import numpy_generator
from cutaway.interop.chat_template import Segment
from cutaway.interop.conversations import Conversation
from cutaway.text.tokenizer import encode_marked
from cutaway.tune.chat_form import ChatForm

PADDING_ROWS = 64
"""So many more rows than tokens a model may have: tables are rounded up to sizes machines like."""


@dataclass(frozen=True)
class Example:
    """One conversation, ready to learn."""

    tokens: Int64[np.ndarray, " N"]
    is_learned: Bool[np.ndarray, " N"]
    """Whether each token is one the model learns to write."""
    n_bytes: int
    """Bytes of UTF-8 of the answers, marks left out."""
    name: str = ""
    """Which one it is, for people."""
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def n_learned(self) -> int:
        """How many tokens are learned."""
        return int(self.is_learned.sum())

    def marked(self, form: ChatForm) -> list[tuple[str, bool]]:
        """Return the text in stretches, and whether each is learned."""
        stretches = []
        for is_learned, group in groupby(
            zip(self.tokens, self.is_learned, strict=True), key=lambda pair: bool(pair[1])
        ):
            texts: list[str] = []
            held: list[int] = []
            for token, _ in group:
                if int(token) in (form.stop_id, form.tokenizer.bos_id):
                    texts += [form.tokenizer.decode(held), form.tokenizer.token_text(int(token))]
                    held = []
                else:
                    held.append(int(token))
            stretches.append(("".join([*texts, form.tokenizer.decode(held)]), is_learned))
        return stretches


@dataclass(frozen=True)
class Examples:
    """All that fit, and those that were left out."""

    kept: list[Example]
    skipped: list[str]
    """Names of those that were too long."""


def make_example(conversation: Conversation, form: ChatForm, name: str = "") -> Example:
    """Return a conversation as the model reads it.

    Raises:
        DataError: nothing of it, or all of it, would be learned; it has characters the tokenizer does not know.
    """
    try:
        parts = form.segments(conversation.plain())
        tokens, is_learned = _tokens_of(parts, form)
    except CutawayError as error:
        raise DataError(f"{name or 'a conversation'}: {error}") from error
    answers = [part.text.rpartition(form.stop_text) for part in parts if part.is_response]
    if any(not before for before, _, _ in answers):
        raise DataError(f"{name or 'a conversation'}: an answer is empty or has no end; write one or delete the line")
    if is_learned[1:].all():
        raise DataError(f"{name or 'a conversation'}: all of it would be learned, there is no prompt; give it one")
    n_bytes = sum(len(before.encode()) for before, _, _ in answers)
    return Example(tokens, is_learned, n_bytes, name, conversation.about)


def _tokens_of(parts: list[Segment], form: ChatForm) -> tuple[Int64[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Return the tokens of the whole text, and which belong to an answer (with its stop token, not what is behind)."""
    text, bounds = "".join(part.text for part in parts), np.cumsum([len(part.text) for part in parts])
    encoded = encode_marked(form.tokenizer, text)
    ends = np.array([end for _, end in encoded])
    if not np.isin(bounds, ends).all():  # a token reaches over the bound, where asking would end with another
        encoded, before = [], 0
        for part in parts:
            encoded += [(token, before + end) for token, end in encode_marked(form.tokenizer, part.text)]
            before += len(part.text)
        ends = np.array([end for _, end in encoded])
    tokens = np.array([token for token, _ in encoded], dtype=np.int64)
    part_of = np.searchsorted(bounds, ends)
    is_learned = np.array([part.is_response for part in parts])[part_of]
    for index, part in enumerate(parts):
        if part.is_response:
            stops = np.flatnonzero((part_of == index) & (tokens == form.stop_id))
            if not len(stops):
                raise DataError(f"the answer does not end with the stop token {form.stop_text!r}; nothing would end it")
            is_learned[(part_of == index) & (np.arange(len(tokens)) > stops[-1])] = False
    is_learned[0] = False  # nothing stands before it to tell it from
    return tokens, is_learned


def make_examples(
    conversations: Sequence[Conversation],
    form: ChatForm,
    context_length: int,
    too_long: Literal["refuse", "skip"] = "refuse",
    file: str = "",
) -> Examples:
    """Return conversations as the model reads them.

    Args:
        context_length: most positions the model has.
        file: where they come from, for messages.

    Raises:
        DataError: one does not fit, or nothing is left.
    """
    kept, skipped, longest = [], [], 0
    for number, one in enumerate(conversations, 1):
        example = make_example(one, form, _name(one, number, file))
        if len(example.tokens) - 1 <= context_length:
            kept.append(example)
        else:
            skipped.append(example.name)
            longest = max(longest, len(example.tokens))
    if skipped and (too_long == "refuse" or not kept):
        others = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        raise DataError(
            f"{skipped[0]}{others} longer than the context of {context_length} tokens (up to {longest}); part them with "
            f"`cutaway voice pairs --base MODEL` (--context {context_length}), or leave them out with "
            f"--tune.too-long skip"
        )
    return Examples(kept, skipped)


def _name(one: Conversation, number: int, file: str) -> str:
    source = one.about.get("source")
    return f"pair {number}" + (f" of {file}" if file else "") + (f" ({source})" if source else "")


def check_vocabulary(n_tokens: int, n_rows: int) -> None:
    """Refuse a tokenizer that is not the model's.

    Args:
        n_rows: tokens the model has.

    Raises:
        TokenizerError: the numbers do not belong together.
    """
    if n_tokens > n_rows or n_rows - n_tokens > max(PADDING_ROWS, n_rows // 20):
        raise TokenizerError(
            f"the tokenizer has {n_tokens:,} tokens, but the model has {n_rows:,}: they do not belong together; "
            f"put the model's own tokenizer.json beside it"
        )


def split_off(
    conversations: Sequence[Conversation], fraction: float, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
    """Return conversations to learn and some held out, all of one source on one side.

    Raises:
        DataError: there is only one source.
    """
    sources = [str(one.about.get("source", number)) for number, one in enumerate(conversations)]
    names = sorted(set(sources))
    if len(names) < 2:
        raise DataError(
            "there are too few sources to hold one out; give held-out pairs (data.held_out), or more than one source"
        )
    order = numpy_generator(seed, "held out").permutation(len(names))
    held = {names[i] for i in order[: min(len(names) - 1, max(1, round(fraction * len(names))))]}
    sides: tuple[list[Conversation], list[Conversation]] = ([], [])
    for one, source in zip(conversations, sources, strict=True):
        sides[source in held].append(one)
    return sides
