"""What is kept of a model's inside while it learns, small enough to keep for every measured step. Read without torch.

snapshots/histograms.jsonl    a line a step, kind and layer: how many numbers fell into which bin
          attention/<step>.npy  where each head looks in one fixed text, [layer, head, writes, reads]
          text.json           that text

The bins are the same for all numbers of all steps, so that counts can be compared and added: each power of two from
2^-40 to 2^8 is cut into four, on both sides of one bin around zero. A number on an edge counts to the bin farther from
zero. What lies outside is counted as below or above, and what is not a number as not finite. Of n-gram tables, gradients
and updates are those of the rows the batch looked up; the others have none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cutaway.base.runs import read_jsonl

KINDS = ("weights", "gradients", "updates", "activations")
LOWEST_POWER, HIGHEST_POWER, CUTS = -40, 8, 4
N_SIDE = (HIGHEST_POWER - LOWEST_POWER) * CUTS
"""Bins on each side of the one around zero."""
MOMENTS = ("mean", "std", "lowest", "highest")
OUTSIDE = ("below", "above", "not_finite", "total")


def bin_edges() -> NDArray[np.float64]:
    """Return the edges of all bins, lowest first."""
    powers = np.exp2(np.arange(LOWEST_POWER, HIGHEST_POWER, dtype=np.float64))
    side = np.append((powers[:, None] * (1 + np.arange(CUTS) / CUTS)).ravel(), 2.0**HIGHEST_POWER)
    return np.concatenate([-side[::-1], side])


@dataclass
class Histograms:
    """How one kind of numbers was spread, by step, layer and bin; only the bins that were ever needed."""

    steps: list[int]
    layers: list[str]
    edges: NDArray[np.float64]
    counts: NDArray[np.int32]
    by_layer: dict[str, NDArray[Any]] = field(default_factory=dict)
    """`below`, `above`, `not_finite`, `total`, `mean`, `std`, `lowest`, `highest`, each [step, layer]; NaN: not there."""


def read_histograms(folder: Path, kind: str) -> Histograms:
    """Return what was recorded of one kind (`weights`, `gradients`, `updates`, `activations`)."""
    lines = read_jsonl(folder / "histograms.jsonl", having=json.dumps({"kind": kind})[1:-1])
    steps = sorted({line["step"] for line in lines})
    layers = list(dict.fromkeys(line["layer"] for line in lines))
    counts = np.zeros((len(steps), len(layers), 2 * N_SIDE + 1), dtype=np.int32)
    by_layer = {name: np.full(counts.shape[:2], np.nan) for name in (*OUTSIDE, *MOMENTS)}
    rows, places = {step: i for i, step in enumerate(steps)}, {layer: i for i, layer in enumerate(layers)}
    for line in lines:
        at = rows[line["step"]], places[line["layer"]]
        counts[at][line["first"] : line["first"] + len(line["counts"])] = line["counts"]
        for name, numbers in by_layer.items():
            numbers[at] = np.nan if line[name] is None else line[name]
    used = np.flatnonzero(counts.any(axis=(0, 1)))
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (N_SIDE, N_SIDE + 1)
    return Histograms(steps, layers, bin_edges()[low : high + 1], counts[:, :, low:high], by_layer)


@dataclass(frozen=True)
class Attention:
    """Where the heads look in one fixed text."""

    text: str
    tokens: list[str]
    files: dict[int, Path]
    """By step."""

    def pattern(self, step: int) -> NDArray[np.float32]:
        """Return one step's pattern, [layer, head, writes, reads]."""
        return np.load(self.files[step], allow_pickle=False)


def read_attention(folder: Path) -> Attention:
    """Return what was recorded of the heads; without files when nothing was (a model without attention)."""
    try:
        told = json.loads((folder / "text.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Attention("", [], {})
    found = {path.stem: path for path in (folder / "attention").glob("*.npy") if path.stem.isdigit()}
    return Attention(told["text"], told["tokens"], {int(step): found[step] for step in sorted(found, key=int)})
