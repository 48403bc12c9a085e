"""One text's way through a model, kept so that changed copies of it can set out from anywhere.

To change something in block l is to give block l+1 another residual stream; nothing before has to be computed again, and,
since a position reads only what stands before it, nothing to the left of the change either: those keys and values are
kept. Many changed copies go on side by side in one batch; each joins at its own block.

    read_course      run the text once and keep streams, keys, values
    follow           from many `Change`s of that, what comes out of the last block
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.lens.activations import read
from cutaway.lens.answer import Answer
from cutaway.models.decoder import Decoder, evaluating
from cutaway.nn.kv_cache import LayerCache

OnDone = Callable[[int, int], None]
"""Told how much is done, and of how much."""

POSITIONS_AT_ONCE = 2048
"""Enough to keep matrix products busy; more would only take memory, and compute more of what did not change."""


@dataclass(frozen=True)
class Course:
    """What a model computed for one text."""

    tokens_T: Int[Tensor, " T"]
    streams: tuple[Float[Tensor, "T C"], ...]
    """The residual stream before each block, and behind the last."""
    found: dict[str, Tensor]
    """Everything read, by name."""

    @property
    def logits_TV(self) -> Float[Tensor, "T V"]:
        """What the model says."""
        return self.found["logits"][0]

    def until(self, n: int) -> Course:
        """Return the course of the first n positions, which know nothing of the others."""
        cut = {name: value[:, :n] for name, value in self.found.items() if not name.endswith((".scores", ".pattern"))}
        return Course(self.tokens_T[:n], tuple(stream[:n] for stream in self.streams), cut)


@dataclass(frozen=True)
class Change:
    """Another residual stream from some block on."""

    layer: int
    """The block that reads it; the number of blocks: the last norm does."""
    start: int
    stream_TC: Float[Tensor, "T C"]
    """What stands at the positions from `start` on, for as many as it has; the others stay."""


def read_course(model: Decoder, tokens: Int[Tensor, "1 T"], also: Collection[str] = ()) -> Course:
    """Run a text and keep what changed copies need.

    Args:
        also: parts of every block to keep besides, such as `attn.z` and `mlp_out`.
    """
    blocks = range(len(model.blocks))
    kept = {"resid_pre", "attn.k", "attn.v", *also}
    last = f"blocks.{blocks[-1]}.resid_post"
    found = read(model, tokens, {last} | {f"blocks.{i}.{part}" for i in blocks for part in kept})
    streams = (*(found[f"blocks.{i}.resid_pre"][0] for i in blocks), found[last][0])
    return Course(tokens[0], streams, found)


@torch.no_grad()
def follow(
    model: Decoder,
    course: Course,
    changes: Sequence[Change],
    read_out: Callable[[Float[Tensor, "N T C"], int], Tensor],
    on_done: OnDone | None = None,
) -> list[Tensor]:
    """Return what `read_out` makes of every change.

    Args:
        read_out: from the streams behind the last block, for the positions from the second argument on, to a row each.
        on_done: told how many changes are done, and of how many, after each batch.
    """
    results: list[Tensor] = [torch.empty(0)] * len(changes)
    order = sorted(range(len(changes)), key=lambda i: (changes[i].start, changes[i].layer))
    with evaluating(model):
        while order:
            first = changes[order[0]].start
            many = max(1, POSITIONS_AT_ONCE // (len(course.tokens_T) - first))
            together, order = sorted(order[:many], key=lambda i: changes[i].layer), order[many:]
            stream_NTC = _through_blocks(model, course, [changes[i] for i in together], first)
            for i, row in zip(together, read_out(stream_NTC, first), strict=True):
                results[i] = row
            if on_done is not None:
                on_done(len(changes) - len(order), len(changes))
    return results


def _through_blocks(model: Decoder, course: Course, changes: list[Change], first: int) -> Float[Tensor, "N T C"]:
    """Take changes, sorted by block, through the blocks; positions from `first` on are computed."""
    stream_NTC = course.streams[0].new_empty(0, len(course.tokens_T) - first, course.streams[0].shape[1])
    for layer in range(changes[0].layer, len(model.blocks) + 1):
        joining = [change for change in changes if change.layer == layer]
        if joining:
            joined_NTC = course.streams[layer][first:].repeat(len(joining), 1, 1)
            for row_TC, change in zip(joined_NTC, joining, strict=True):
                start = change.start - first
                row_TC[start : start + len(change.stream_TC)] = change.stream_TC
            stream_NTC = torch.cat([stream_NTC, joined_NTC])
        if layer < len(model.blocks):
            stream_NTC = model.blocks[layer](stream_NTC, _kept(course, layer, len(stream_NTC), first))
    return stream_NTC


def _kept(course: Course, layer: int, n_rows: int, first: int) -> LayerCache | None:
    """Return the keys and values of the positions before `first`, with room for the others."""
    if first == 0:
        return None
    rooms = []
    for name in ("attn.k", "attn.v"):
        recorded_1SGD = course.found[f"blocks.{layer}.{name}"]
        room = recorded_1SGD.new_empty(n_rows, *recorded_1SGD.shape[1:])
        room[:, :first] = recorded_1SGD[:, :first]
        rooms.append(room)
    cache = LayerCache(*rooms)
    cache.length = first
    return cache


def answer_logits(model: Decoder, stream_NC: Float[Tensor, "N C"], asked: Answer) -> Float[Tensor, " N"]:
    """Return what is asked of the streams behind the last block; of the whole vocabulary only what is asked."""
    x_NC = model.final_norm(stream_NC)
    if type(model.lm_head) is not nn.Linear or model.lm_head.bias is not None:
        return asked.of(model.lm_head(x_NC).float())
    rows = [asked.token] if asked.other is None else [asked.token, asked.other]
    logits = F.linear(x_NC, model.lm_head.weight[rows]).float()
    return logits[:, 0] if asked.other is None else logits[:, 0] - logits[:, 1]
