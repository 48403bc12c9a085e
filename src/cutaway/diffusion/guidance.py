"""Guidance: ask with the condition and without, and go further in the direction that the condition makes.

    guided = unconditional + scale (conditional - unconditional)

Ho and Salimans 2022, arXiv:2207.12598. Scale 1 is the conditional prediction itself and costs one row a picture;
otherwise both stand in one batch, so the model is called once. Outside an interval of times guidance harms or does
nothing (Kynkaanniemi et al. 2024, arXiv:2404.07724), and the conditional prediction is taken. A negative prompt takes
the place of the empty one. Prediction, velocity, noise and picture are linear in each other, so it does not matter which
of them is guided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.diffusion.condition import Condition


@dataclass(frozen=True)
class Parts:
    """The predictions for one x at one time."""

    t: float
    x: Tensor
    conditional: Tensor
    unconditional: Tensor | None
    """None where the model was not asked."""
    guided: Tensor


class Guided:
    """A model, told what to paint; call it with x and times for its guided prediction.

    Args:
        told: a row a picture.
        nothing: the condition led away from, the empty one or a negative one: one row, or a row a picture.
        scale: 1 for no guidance; 0 for the unconditional prediction.
        interval: first and last time with guidance.
        listen: is given the parts of every prediction.
    """

    def __init__(
        self,
        model: nn.Module,
        told: Condition,
        nothing: Condition,
        scale: float,
        interval: tuple[float, float] = (0.0, 1.0),
        listen: Callable[[Parts], None] | None = None,
    ) -> None:
        self.model, self.told, self.nothing = model, told, nothing
        self.scale, self.interval, self.listen = scale, interval, listen
        self._ready: dict[str, Callable[[Tensor, Tensor], Tensor]] = {}

    def __call__(self, x: Tensor, t: Float[Tensor, " B"]) -> Tensor:
        """Return the guided prediction; `t` is one time for all rows."""
        parts = self._ask(x, t)
        if self.listen:
            self.listen(parts)
        return parts.guided

    def _ask(self, x: Tensor, t: Tensor) -> Parts:
        now = float(t[0])
        if self.scale == 1 or not self.interval[0] <= now <= self.interval[1]:
            conditional = self._ask_about("told", x, t)
            return Parts(now, x, conditional, None, conditional)
        both = self._ask_about("both", torch.cat([x, x]), torch.cat([t, t]))
        conditional, unconditional = both.chunk(2)
        return Parts(now, x, conditional, unconditional, torch.lerp(unconditional, conditional, self.scale))

    def _ask_about(self, what: str, x: Tensor, t: Tensor) -> Tensor:
        """Ask the model, and answer in the precision of x; a model that can get ready for a condition does so once."""
        if what not in self._ready:
            condition = self.told if what == "told" else self.told.beside(self.nothing)
            get_ready = getattr(self.model, "ready", None)
            if get_ready is None or torch.is_grad_enabled():
                return self.model(x, t, condition).to(x.dtype)
            self._ready[what] = get_ready(condition)
        return self._ready[what](x, t).to(x.dtype)
