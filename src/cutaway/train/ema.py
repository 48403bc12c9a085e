"""A running average of the weights, which often does better than the weights themselves.

    a <- a + (1 - d_k) (w - a),    d_k = min(decay, (1 + k) / (10 + k))    after update k = 1, 2, ...

The last weights jitter around where they are going; their average does not (Ruppert 1988; Polyak and Juditsky 1992,
doi:10.1137/0330046, average all steps alike; diffusion models since Ho et al. 2020 forget the early ones at this constant
rate). The ramp of the decay, TensorFlow's and everybody's since, forgets the random start soon. The average is kept
beside the weights and never touches the training: it is measured, exported and drawn with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cutaway.base.errors import CheckpointError
from cutaway.train.distributed import like, whole


def decay_after(update: int, decay: float) -> float:
    """Return the share of the average that stays at an update, counted from 1."""
    return min(decay, (1 + update) / (10 + update))


class Average:
    """The average of the weights a model learns; those that rest, and buffers, are the model's own.

    Under DDP every rank keeps the same average; under FSDP each keeps that of its slices.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.parameters: list[Tensor] = [parameter.detach() for parameter in learning.values()]
        self.values = {name: parameter.detach().clone() for name, parameter in learning.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights after update `step` (1: the first)."""
        torch._foreach_lerp_(list(self.values.values()), self.parameters, 1 - decay_after(step, self.decay))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the `with` block, the model has the averaged weights."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    @torch.no_grad()
    def exchange(self) -> None:
        """Give the model the average, and keep its weights here, exactly (or back)."""
        for value, parameter in zip(self.values.values(), self.parameters, strict=True):
            kept = parameter.clone()
            parameter.copy_(value)
            value.copy_(kept)

    def tensors(self) -> dict[str, Tensor]:
        """Return the average by the parameters' names, gathered from all ranks (every rank must ask)."""
        return {name: whole(value) for name, value in self.values.items()}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor] | None) -> None:
        """Take up a checkpoint's average; None: it has none, so the average begins with the weights as they are.

        Raises:
            CheckpointError: it is of another model.
        """
        if tensors is None:
            tensors = {name: whole(value) for name, value in zip(self.values, self.parameters, strict=True)}
        if odd := sorted(tensors.keys() ^ self.values.keys()):
            raise CheckpointError(f"the average is of another model: {odd[0]!r} is in only one of the two")
        for name, value in self.values.items():
            value.copy_(like(tensors[name], value))
