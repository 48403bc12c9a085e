"""Schedules beside PyTorch's."""

from __future__ import annotations

import pytest
import torch

from cutaway.train.config import TrainConfig
from cutaway.train.lr_schedule import rate


def test_cosine_is_pytorchs() -> None:
    config = TrainConfig(schedule="cosine", warmup_fraction=0.0, final_fraction=0.1)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=99, eta_min=0.1)
    for step in range(1, 100):
        assert rate(step, 100, config) == pytest.approx(reference.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("schedule", ["stable", "cosine", "linear"])
@pytest.mark.parametrize("total_steps", [1, 2, 10, 333])
def test_rates_rise_then_never_rise_again(schedule: str, total_steps: int) -> None:
    config = TrainConfig(schedule=schedule, warmup_fraction=0.1, final_fraction=0.05)
    shares = [rate(step, total_steps, config) for step in range(total_steps)]
    assert all(0 < share <= 1 for share in shares)
    peak = shares.index(max(shares))
    assert shares[: peak + 1] == sorted(shares[: peak + 1])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)
    assert max(shares) == 1.0
