"""Attention: all heads at a glance, and one of them, or an average, in full."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from cutaway.base.errors import UsageError
from cutaway.server.arrays import ArraysResponse, answered, with_arrays
from cutaway.server.lab import Lab, TheLab

if TYPE_CHECKING:
    from cutaway.lens.attention import Attention
    from cutaway.lens.kinds import HeadKinds

router = APIRouter()
MOST_WEIGHTS = 200_000_000
"""Of all heads together: GPT-2 with its whole context has 151 million."""


class TextToRead(BaseModel):
    """A text and who reads it."""

    model_config = ConfigDict(extra="forbid")
    model: str
    text: str


class HeadToRead(TextToRead):
    """One head, or an average."""

    layer: int | None = None
    """null: the mean over layers."""
    head: int | None = None
    """null: the mean over heads."""


class KindOfHead(BaseModel):
    """A kind of head, as the scores measure it."""

    name: str
    enough: float
    """A head is called by a kind from this score on."""
    positions: int
    """On how many positions of this text it was measured."""
    fewest: int
    """Of fewer positions no head is called by it."""


class HeadsMeta(BaseModel):
    """All heads of a model on a text.

    The arrays: `score` and `raw` [layer, head, kind], NaN where the text has no place to measure it on; `small` [layer,
    head, row, column], the patterns, behind each layer's their mean, pooled by the largest weight: `small_step` positions a
    pixel.
    """

    tokens: list[str]
    ids: list[int]
    cut: int
    """So many tokens at the beginning did not fit into the model's context."""
    context_length: int
    layers: int
    heads: int
    small_step: int
    kinds: list[KindOfHead]
    called: list[list[str | None]]
    """The kind each head is called by, by layer and head."""


class PatternMeta(BaseModel):
    """Where one head looks. The array: `pattern` [reads, read], all weights."""

    tokens: list[str]
    layer: int | None
    head: int | None


def patterns(lab: Lab, asked: TextToRead) -> tuple[Attention, int]:
    """Return all patterns of a model on a text, kept for the next question, and the model's context length."""
    from cutaway.lens.attention import attention
    from cutaway.lens.prompt import read_prompt

    opened = lab.models.open(asked.model)

    def compute() -> Attention:
        prompt = read_prompt(opened.model, opened.tokenizer, asked.text)
        n_heads, most = opened.facts.layers * opened.facts.heads, MOST_WEIGHTS
        if n_heads * len(prompt.ids) ** 2 > most:
            raise UsageError(
                f"{n_heads} heads on {len(prompt.ids):,} tokens are too many weights to show; "
                f"give a text of up to {math.isqrt(most // n_heads):,} tokens"
            )
        with opened.lock:
            return attention(opened.model, opened.tokenizer, prompt)

    key = ("attention", opened.name, opened.identity, asked.text)
    found = lab.kept.once(key, compute, lambda one: one.pattern_LHTS.nbytes)
    return found, opened.model.config.context_length


def scores(lab: Lab, asked: TextToRead, found: Attention) -> HeadKinds:
    """Return the scores of all heads, kept as well."""
    from cutaway.lens.kinds import head_kinds

    opened = lab.models.open(asked.model)
    key = ("kinds", opened.name, opened.identity, asked.text)
    return lab.kept.once(key, lambda: head_kinds(found), lambda one: 2 * one.score_LHK.nbytes)


@router.post("/lens/attention", **with_arrays(HeadsMeta))
def heads(lab: TheLab, asked: TextToRead) -> ArraysResponse:
    """Return small pictures of where every head looks, and what kind of head it is on this text."""
    from cutaway.lens.attention_figure import heads_data

    found, context_length = patterns(lab, asked)
    return answered(HeadsMeta, heads_data(found, scores(lab, asked, found)), context_length=context_length)


@router.post("/lens/attention/head", **with_arrays(PatternMeta))
def head(lab: TheLab, asked: HeadToRead) -> ArraysResponse:
    """Return all weights of one head, of the mean over the heads of a layer, over the layers, or over both."""
    found, _ = patterns(lab, asked)
    pattern = found.pattern_LHTS
    n_layers, n_heads = pattern.shape[:2]
    for name, given, n in (("layer", asked.layer, n_layers), ("head", asked.head, n_heads)):
        if given is not None and not 0 <= given < n:
            raise UsageError(f"there is no {name} {given}: {asked.model} has {name}s 0 to {n - 1}")
    some = pattern if asked.layer is None else pattern[asked.layer : asked.layer + 1]
    some = some if asked.head is None else some[:, asked.head : asked.head + 1]
    meta = PatternMeta(tokens=list(found.prompt.pieces), layer=asked.layer, head=asked.head)
    return ArraysResponse(meta, {"pattern": some.mean((0, 1)).numpy()})
