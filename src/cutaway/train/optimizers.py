"""Placeholder until the batched Muon lands."""

from __future__ import annotations

import torch
from torch import nn

from cutaway.train.config import TrainConfig


def build_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a model's parameters; every group carries its `peak_lr`."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay, "peak_lr": config.learning_rate},
        {"params": others, "weight_decay": 0.0, "peak_lr": config.learning_rate},
    ]
    return [torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)]
