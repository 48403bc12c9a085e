"""What a tensor's numbers are like: extremes, averages, quantiles and a histogram.

Infinite and undefined numbers are counted and left out of all else. Quantiles of very many numbers are those of evenly
spaced ones, which is said (`sampled`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Numbers = np.ndarray[Any, Any]
BINS = 64
EXACT_UP_TO = 1 << 22
"""Quantiles of more numbers than this are taken from a sample."""
SAMPLE = 1 << 20
AT_ONCE = 1 << 22
SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Statistics:
    """What is told of a tensor. None: there is no finite number to tell it of."""

    count: int
    finite: int
    zeros: int
    undefined: int
    infinite: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    deviation: float | None
    norm: float | None
    """The root of the sum of squares."""
    quantiles: list[float]
    """At the shares `SHARES`."""
    sampled: int
    """How many numbers the quantiles were taken from, if not all; else 0."""
    edges: list[float]
    counts: list[int]


def statistics(tensor: Tensor) -> Statistics:
    """Return what a tensor's numbers are like; of complex numbers, what their sizes are like."""
    values = tensor.detach().abs() if tensor.is_complex() else tensor.detach()
    values = values.reshape(-1)
    count = values.numel()
    parts = [values[at : at + AT_ONCE] for at in range(0, count, AT_ONCE)]
    undefined = sum(int(part.isnan().sum()) for part in parts)
    infinite = sum(int(part.isinf().sum()) for part in parts)
    zeros = sum(int((part == 0).sum()) for part in parts)
    finite = count - undefined - infinite
    if not finite:
        return Statistics(count, 0, zeros, undefined, infinite, None, None, None, None, None, [], 0, [], [])
    chosen = [_finite(part, finite == count) for part in parts]
    chosen = [part for part in chosen if part.size]
    low, high = min(float(part.min()) for part in chosen), max(float(part.max()) for part in chosen)
    scale = max(abs(low), abs(high)) or 1.0  # squares of very large or small numbers leave the range of floats
    mean = scale * (sum(float((wide(part) / scale).sum()) for part in chosen) / finite)
    squares = sum(float(np.square(wide(part) / scale).sum()) for part in chosen)
    spread = sum(float(np.square((wide(part) - mean) / scale).sum()) for part in chosen)
    every = np.concatenate(chosen) if len(chosen) > 1 else chosen[0]
    sample = every if every.size <= EXACT_UP_TO else every[:: every.size // SAMPLE]
    quantiles = [float(one) for one in np.quantile(sample.astype(np.float64), SHARES)]
    quantiles[0], quantiles[-1] = low, high
    edges = np.linspace(low, high, BINS + 1) if math.isfinite(high - low) else np.array([low, high])
    counts = sum((np.histogram(part, bins=edges)[0] for part in chosen), np.zeros(len(edges) - 1, np.int64))
    if low == high:
        edges, counts = np.array([low, high]), np.array([finite])
    return Statistics(
        count, finite, zeros, undefined, infinite, low, high, mean, scale * math.sqrt(spread / finite),
        scale * math.sqrt(squares), quantiles, 0 if sample is every else int(sample.size), edges.tolist(), counts.tolist(),
    )  # fmt: skip


def _finite(part: Tensor, is_all: bool) -> Numbers:
    """Return the finite numbers of a part, in float64 unless they are float32 (which holds them)."""
    part = part.float() if part.dtype in (torch.bfloat16, torch.float16) else part
    part = part if part.dtype in (torch.float32, torch.float64) else part.double()
    numbers: Numbers = part.cpu().numpy()
    return numbers if is_all else numbers[np.isfinite(numbers)]


def wide(part: Numbers) -> Numbers:
    """Return numbers in float64."""
    return part.astype(np.float64)
