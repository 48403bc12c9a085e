"""What a painter predicts at every step of a picture: without the words, with them, and guided.

    guided = unconditional + scale (conditional - unconditional)

Each prediction is read as the picture it expects in the end (`paths.py`), so that the three can be seen side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.diffusion.condition import Condition
from cutaway.diffusion.painter import Painter, Told


@dataclass(frozen=True)
class Expected:
    """The pictures that a painter expects, a row a step."""

    unconditional_SCYX: Tensor
    conditional_SCYX: Tensor
    guided_SCYX: Tensor


@torch.no_grad()
def expected_pictures(
    painter: Painter, told: Told, x_SCYX: Float[Tensor, "S C Y X"], times: Sequence[float], scale: float
) -> Expected:
    """Return what is expected of one picture on its way.

    Args:
        told: what is asked of that picture, one row.
        x_SCYX: the picture as it is at each step.
        times: of each step, below 1.
    """
    t_S = torch.tensor(times, dtype=x_SCYX.dtype, device=x_SCYX.device)

    def ask(condition: Condition) -> Tensor:
        parts = (None if part is None else part.expand(len(x_SCYX), *part.shape[1:]) for part in condition.parts)
        prediction = painter.denoiser(x_SCYX, t_S, Condition(*parts))
        return painter.path.read(prediction, x_SCYX, t_S).picture

    conditional, unconditional = ask(told.condition), ask(told.nothing)
    return Expected(unconditional, conditional, torch.lerp(unconditional, conditional, scale))
