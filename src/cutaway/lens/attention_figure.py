"""Attention as a figure: all heads at a glance, and one of them in full. The lab draws the same data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.lens.attention import Attention
from cutaway.lens.figure_words import STILL_ROWS, note, on_text
from cutaway.lens.kinds import ENOUGH, FEWEST, HeadKinds, head_kinds
from cutaway.notebook.figure import Figure
from cutaway.notebook.still import Still

SMALL = 48
"""Rows and columns a head's small picture has at most."""
MOST_SAVED_BYTES = 3 << 20
"""Patterns of all heads are saved with a figure up to this size; of more, one head's, the others when asked for."""


def heads_data(found: Attention, kinds: HeadKinds) -> dict[str, Any]:
    """Return all heads at a glance: `score` and `raw` [layer, head, kind]; `small` [layer, head, row, column], pooled
    patterns, behind each layer's their mean."""
    pattern = found.pattern_LHTS.numpy()
    n_layers, n_heads = pattern.shape[:2]
    small, step = pooled(np.concatenate([pattern, pattern.mean(1, keepdims=True)], axis=1))
    return {
        "tokens": list(found.prompt.pieces),
        "ids": list(found.prompt.ids),
        "cut": found.prompt.cut,
        "layers": n_layers,
        "heads": n_heads,
        "small_step": step,
        "kinds": [
            {"name": name, "enough": ENOUGH[name], "positions": n, "fewest": FEWEST}
            for name, n in zip(kinds.kinds, kinds.positions_K, strict=True)
        ],
        "called": [[kinds.best(layer, head) for head in range(n_heads)] for layer in range(n_layers)],
        "score": kinds.score_LHK.numpy(),
        "raw": kinds.raw_LHK.numpy(),
        "small": small.astype(np.float32),
    }


def pooled(pattern: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """Return patterns of at most SMALL rows and columns, the largest weight of those that share one, and how many do."""
    T = pattern.shape[-1]
    step = -(-T // SMALL)
    if step == 1:
        return pattern, 1
    starts = np.arange(0, T, step)
    return np.maximum.reduceat(np.maximum.reduceat(pattern, starts, axis=-2), starts, axis=-1), step


def attention_figure(found: Attention) -> Figure:
    """Return all heads: what kind each is, where one of them looks."""
    kinds = head_kinds(found)
    data = heads_data(found, kinds)
    n_layers, n_heads = found.pattern_LHTS.shape[:2]
    pattern = found.pattern_LHTS.numpy()
    if pattern.nbytes <= MOST_SAVED_BYTES:
        data["pattern"] = pattern

    def answer(question: Mapping[str, Any]) -> dict[str, Any]:
        layer, head = (as_choice(question.get(name), n) for name, n in (("layer", n_layers), ("head", n_heads)))
        return {"pattern": pattern[layer][:, head].mean((0, 1))}

    rows = [
        [
            f"{layer}.{head}",
            kinds.best(layer, head) or "",
            *("" if score != score else f"{score:.2f}" for score in kinds.score_LHK[layer, head].tolist()),
        ]
        for layer in range(n_layers)
        for head in range(n_heads)
    ]
    about = f"{n_layers} layers of {n_heads} heads on {on_text(found.prompt)}"
    still = Still("Attention", ["head", "kind", *kinds.kinds], rows[:STILL_ROWS], about, note("", rows, "heads"))
    return Figure("attention", data, still, answer)


def as_choice(given: Any, n: int) -> slice:
    """Return one of n as a slice; None means all, of which the mean is taken.

    Raises:
        UsageError: there is no such one.
    """
    if given is None:
        return slice(None)
    if not isinstance(given, int) or not 0 <= given < n:
        raise UsageError(f"there is no {given!r}: it goes from 0 to {n - 1}")
    return slice(given, given + 1)
