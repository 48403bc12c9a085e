"""Guidance as pictures: what the model expects at one step without the words, with them, and beyond.

    picture it expects = what its prediction for x at t says of the picture      (`paths.py`)
    guided = without + scale (with - without)

At the start all three are blurs, the mean of all pictures that x could still become; guidance makes the words' part of
the difference larger than it is. What lies beyond black and white is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from cutaway.diffusion.guidance import Parts
from cutaway.diffusion.painter import Painter


@dataclass(frozen=True)
class Expected:
    """The pictures that the model expects at one time."""

    t: float
    unconditional: UInt8[np.ndarray, "B Y X C"] | None
    """Without the words, or led away from; None where the model was not asked."""
    conditional: UInt8[np.ndarray, "B Y X C"]
    """With the words."""
    guided: UInt8[np.ndarray, "B Y X C"]
    """What is gone on with."""


def expected_pictures(painter: Painter, parts: Parts) -> Expected:
    """Return what the predictions of one call say of the picture; `paint(..., listen=...)` hands them out."""
    t = torch.tensor(parts.t, dtype=parts.x.dtype, device=parts.x.device)

    def shown(prediction: Tensor) -> UInt8[np.ndarray, "B Y X C"]:
        return painter.to_pictures(painter.path.read(prediction, parts.x, t).picture)

    without = None if parts.unconditional is None else shown(parts.unconditional)
    return Expected(parts.t, without, shown(parts.conditional), shown(parts.guided))
