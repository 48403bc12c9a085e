"""A diffusion transformer about to draw: what x does not change is made once.

A drawing asks the same model for the same condition at one time after the other. The words' keys and values are the same
in every step; modulations are the same for all calls at one time (Heun's rule asks twice), and are made in float32 from
the model's own weights. Under autocast the blocks' matrices are rounded to bfloat16 once, not at every call. Whoever
listens hears the model itself.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.tap import is_listening
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.modulation import AllModulations

if TYPE_CHECKING:
    from cutaway.diffusion.dit import DiT


class ReadyDiT:
    """The model, told what to paint."""

    @torch.no_grad()
    def __init__(self, model: DiT, condition: Condition) -> None:
        self.model, self.condition = model, condition
        device = next(model.parameters()).device.type
        self.body = rounded(model) if torch.is_autocast_enabled(device) else model
        self.words = self.body.read(condition)
        self._time: float | None = None
        self._modulations: AllModulations | None = None

    @torch.no_grad()
    def __call__(self, x_BCYX: Float[Tensor, "B C Y X"], t_B: Float[Tensor, " B"]) -> Float[Tensor, "B C Y X"]:
        """Return the model's answer; quickest if all rows have one time."""
        now = float(t_B[0])
        if is_listening() or bool((t_B != now).any()):
            return self.model(x_BCYX, t_B, self.condition)
        self.model.check(x_BCYX, self.condition)
        if now != self._time or self._modulations is None:
            with torch.autocast(t_B.device.type, enabled=False):
                self._modulations = self.model.modulations(self.model.steering(t_B, self.condition))
            self._time = now
        return self.body.denoise(x_BCYX, self._modulations, self.words).to(x_BCYX.dtype)


def rounded(model: DiT) -> DiT:
    """Return a copy whose linear layers are in bfloat16, for use under autocast; the rest is shared."""
    same = (*model.buffers(), model.modulations, model.time_embedding, model.label_embedding)
    shared: dict[int, Any] = {id(part): part for part in same}
    body = copy.deepcopy(model, shared)
    for module in [body.patch_embedding, body.output_proj, *body.blocks.modules()]:
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
    return body
