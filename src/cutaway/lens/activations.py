"""What a decoder computes on the way, by name, and how to change it while it runs.

    embed                     what the first block reads: token rows (+ positions, + n-grams), normalised if so built
    blocks.3.resid_pre        the residual stream before block 3          blocks.3.attn.q .k .v .scores .pattern .z
    blocks.3.attn_out         what its heads together wrote               blocks.3.mlp.mlp_pre .mlp_post (.mlp_gate)
    blocks.3.resid_mid        the stream between attention and MLP        blocks.3.mlp_out
    blocks.3.resid_post       the stream after it                         final_norm, logits

The names are the addresses the microscope gives the same tensors, so that every question asked here can be asked there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Int
from torch import Tensor

from cutaway.base.errors import UsageError, suggest
from cutaway.base.tap import listening
from cutaway.models.decoder import Decoder, evaluating

Edit = Callable[[Tensor], Tensor]
"""From what the model computed to what takes its place, of the same shape."""

_AXES = re.compile(r"_[A-Z]+$")
_PARTS = {"q", "k", "v", "scores", "pattern", "z"}


def names(model: Decoder) -> list[str]:
    """Return the names of everything that can be read or edited, in the order it is computed."""
    heard: list[str] = []
    with _reading(lambda name, value: heard.append(name)):
        _forward(model, torch.zeros(1, 1, dtype=torch.int64, device=model.device))
    return heard


def read(
    model: Decoder,
    tokens: Int[Tensor, "B T"],
    wanted: Collection[str] | None = None,
    edits: Mapping[str, Edit] | None = None,
) -> dict[str, Tensor]:
    """Run the model on the tokens and return what it computed, by name; `logits` (B, T, V) always.

    Args:
        wanted: names to return; left out: all.
        edits: what to change on the way; all that comes after is computed from the edited values.

    Raises:
        UsageError: the model has no such name; an edit returned another shape.
    """
    edits = edits or {}
    found: dict[str, Tensor] = {}
    unused = set(edits)

    def hear(name: str, value: Tensor) -> Tensor | None:
        changed = None
        if name in edits:
            unused.discard(name)
            changed = edits[name](value)
            if changed.shape != value.shape:
                raise UsageError(f"the edit of {name} returned {tuple(changed.shape)}; expected {tuple(value.shape)}")
        if wanted is None or name in wanted:
            found[name] = value if changed is None else changed
        return changed

    with _reading(hear):
        found["logits"] = _forward(model, tokens)
    for name in unused | (set(wanted or ()) - set(found)):
        raise UsageError(f"the model has no {name!r}{suggest(name, names(model))}")
    return found


@torch.no_grad()
def _forward(model: Decoder, tokens: Int[Tensor, "B T"]) -> Tensor:
    with evaluating(model):
        return model(tokens.to(model.device))


@contextmanager
def _reading(hear: Callable[[str, Tensor], Tensor | None]) -> Iterator[None]:
    """Call `hear(name, value)` with the full name of everything computed inside the `with` block."""
    block = -1

    def named(tapped: str, value: Tensor) -> Tensor | None:
        nonlocal block
        field = _AXES.sub("", tapped)
        if field == "resid_pre":
            block += 1
        if field in ("embed", "final_norm", "logits"):
            if field == "embed":
                block = -1
            return hear(field, value)
        inside = "attn." if field in _PARTS else "mlp." if field in ("mlp_pre", "mlp_gate", "mlp_post") else ""
        return hear(f"blocks.{block}.{inside}{field}", value)

    with listening(named):
        yield
