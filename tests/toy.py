"""A task small enough to train in a test: fit noisy targets with two matrices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cutaway.base.objective import Probe, Sample, Validation
from cutaway.base.seed import torch_generator


class ToyObjective:
    """Regression from 6 to 3 numbers; dropout makes the random numbers matter."""

    sequences_per_epoch = 64
    tokens_per_sequence = 3

    def __init__(self, seed: int = 0, dropout: float = 0.1) -> None:
        torch.manual_seed(seed)
        self.model: nn.Module = nn.Sequential(
            nn.Linear(6, 24), nn.Tanh(), nn.Dropout(dropout), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 3)
        )
        self.poison_at: int | None = None

    def batch(self, first: int, count: int) -> Any:
        rows = [
            torch.randn(9, generator=torch_generator(7, (first + i) % self.sequences_per_epoch)) for i in range(count)
        ]
        if self.poison_at is not None and first >= self.poison_at:
            rows[0][0] = float("inf")
        both = torch.stack(rows)
        return both[:, :6], both[:, 6:] + both[:, :3]

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        inputs, targets = batch
        return nn.functional.mse_loss(model(inputs), targets)

    def validate(self, model: nn.Module, max_tokens: int | None = None) -> Validation:
        loss = float(self.loss(model, self.batch(0, 16)))
        return Validation(loss, loss, 48)

    def sample(self, model: nn.Module, step: int) -> Sample:
        torch.rand(3)  # somebody else draws random numbers: the run must not notice
        return Sample(f"sample {step}")

    @property
    def probe(self) -> Probe:
        return Probe(torch.linspace(-1, 1, 12).view(2, 6), "two rows", ("one", "two"))
