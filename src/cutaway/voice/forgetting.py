"""What tuning cost: the loss on a text that has nothing to do with the writer, before and after.

    forgetting = bits a byte after - bits a byte before, on the same tokens          above 0: forgot

The text is from the manual inside Python (`pydoc_data.topics`), on every machine: the beginnings of its first topics.
It differs between versions of Python, so its hash is kept: compare figures of equal hashes only. Lines with characters the
tokenizer does not know are left out for both models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cutaway.base.errors import TokenizerError
from cutaway.base.files import content_hash
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer
from cutaway.voice.bootstrap import Interval, bootstrap
from cutaway.voice.losses import bits_of
from cutaway.voice.scoring import scores

TOPICS, CHARACTERS = 24, 1200


@dataclass(frozen=True)
class Forgetting:
    """The loss on neutral text, in bits a byte."""

    before: Interval
    after: Interval
    change: Interval
    n_bytes: int
    text_hash: str
    """Of the text as it was read."""

    @property
    def verdict(self) -> str:
        """`forgot`, `gained` or `no clear change`."""
        return "forgot" if self.change.above(0) else "gained" if self.change.below(0) else "no clear change"

    def sentence(self) -> str:
        """Say it in words."""
        if not self.n_bytes:
            return "Forgetting was not measured: the tokenizer knows none of the neutral text."
        meaning = {
            "forgot": "tuning cost some of what the base could do",
            "gained": "the tuned model even foretells it better",
            "no clear change": "0 is within the interval: no clear loss",
        }[self.verdict]
        return (
            f"On {self.n_bytes:,} bytes of neutral text the base needs {self.before.text('.3f')} and the tuned model "
            f"{self.after.text('.3f')} bits a byte; the change is {self.change.text('+.3f')}: {meaning}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "before": self.before.as_dict(),
            "after": self.after.as_dict(),
            "change": self.change.as_dict(),
            "n_bytes": self.n_bytes,
            "text_hash": self.text_hash,
            "verdict": self.verdict,
        }


def neutral_texts() -> dict[str, str]:
    """Return the beginnings of the manual's first topics."""
    from pydoc_data.topics import topics

    long = [name for name in sorted(topics) if len(topics[name]) >= CHARACTERS]
    return {name: topics[name][:CHARACTERS] for name in long[:TOPICS]}


def forgetting(
    base: Decoder, tuned: Decoder, tokenizer: Tokenizer, texts: Mapping[str, str] | None = None, seed: int = 0
) -> Forgetting:
    """Return what two models with one tokenizer lose on neutral texts.

    Args:
        texts: by name; left out: from Python's manual.
    """
    ids: list[list[int]] = []
    sizes: list[tuple[int, int]] = []
    known: list[str] = []
    context = min(base.config.context_length, tuned.config.context_length)
    for text in (neutral_texts() if texts is None else texts).values():
        readable = _readable(tokenizer, text)
        for part in _parts(tokenizer.encode(readable), context) if readable else ():
            ids.append(part)
            sizes.append((len(known), len(tokenizer.decode(part[1:]).encode())))
        known.append(readable)
    rows = [
        [before.nats_T.sum(), 0, size, after.nats_T.sum(), 0, size]
        for before, after, (_, size) in zip(scores(base, ids), scores(tuned, ids), sizes, strict=True)
    ]
    groups = [number for number, _ in sizes]
    if not rows:
        nothing = Interval(math.nan, math.nan, math.nan, 0, "the tokenizer knows none of the text")
        return Forgetting(nothing, nothing, nothing, 0, content_hash([]))
    return Forgetting(
        bootstrap(rows, lambda both: bits_of(both[:, :3]), seed, groups),
        bootstrap(rows, lambda both: bits_of(both[:, 3:]), seed, groups),
        bootstrap(rows, lambda both: bits_of(both[:, 3:]) - bits_of(both[:, :3]), seed, groups),
        sum(size for _, size in sizes),
        content_hash(known),
    )


def _readable(tokenizer: Tokenizer, text: str) -> str:
    """Return the lines the tokenizer knows."""
    lines = []
    for line in text.splitlines(keepends=True):
        try:
            ids = tokenizer.encode(line)
        except TokenizerError:
            continue
        if tokenizer.unknown_id is None or tokenizer.unknown_id not in ids:
            lines.append(line)
    return "".join(lines)


def _parts(ids: list[int], context: int) -> list[list[int]]:
    """Return pieces that fit the context; each begins with the token the one before ended with."""
    return [ids[start : start + context + 1] for start in range(0, len(ids) - 1, context)]
