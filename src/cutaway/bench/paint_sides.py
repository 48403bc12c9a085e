"""Both sides of `cutaway bench paint`: the same weights, the same batch, a step or a drawing each.

Theirs is diffusers' model in a plain loop with `torch.optim.AdamW`, and the loop of `DiTPipeline` with diffusers' scheduler
of flow matching; ours is the model in the optimizer of training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cutaway.base.seed import torch_generator
from cutaway.bench.paint_peer import diffusers_dit
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import DiTConfig
from cutaway.diffusion.dit import DiT
from cutaway.train.config import TrainConfig
from cutaway.train.optimizers import build_optimizers
from cutaway.train.trainer import autocast

CPU = torch.device("cpu")
RATE, GUIDANCE = 3e-4, 4.0


class Batch(NamedTuple):
    """What a training step reads."""

    x_BCYX: Tensor
    t_B: Tensor
    target_BCYX: Tensor
    label_B: Tensor


def models(shape: DiTConfig, activation: str) -> tuple[DiT, nn.Module]:
    """Return both sides with the same weights, none of them zero; theirs drops no label.

    Theirs has an embedding of time and label in every block. They are made one here, as ours is: it computes as much as
    before, and learns the same as ours.
    """
    torch.manual_seed(0)
    ours = DiT(shape)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    theirs = diffusers_dit(ours, activation).train()
    for name, module in theirs.named_modules():
        if name.endswith("class_embedder"):
            module.dropout_prob = 0.0
    blocks: Any = theirs.transformer_blocks
    for block in blocks:
        block.norm1.emb = blocks[0].norm1.emb
    return ours, theirs


def noised_batch(shape: DiTConfig, n: int) -> Batch:
    """Return a batch of noise, for which any model has as much to do as for pictures."""
    generator = torch_generator(0, "batch")
    x_BCYX, target_BCYX = torch.randn(2, n, shape.channels, shape.size, shape.size, generator=generator)
    t_B = torch.rand(n, generator=generator)
    return Batch(x_BCYX, t_B, target_BCYX, torch.randint(shape.n_labels, (n,), generator=generator))


def our_stepper(model: DiT, batch: Batch, precision: str) -> Callable[[], float]:
    """Return what makes one update of ours and returns its loss."""
    config = TrainConfig(steps=1, optimizer="adamw", learning_rate=RATE, weight_decay=0.0, beta2=0.999)
    optimizers = build_optimizers(model, config)

    def step() -> float:
        with autocast(precision, CPU):
            answer_BCYX = model(batch.x_BCYX, batch.t_B, Condition(batch.label_B))
            loss = (answer_BCYX.float() - batch.target_BCYX).square().mean()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    return step


def their_stepper(model: nn.Module, batch: Batch, precision: str) -> Callable[[], float]:
    """Return what makes one update of theirs and returns its loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)

    def step() -> float:
        with autocast(precision, CPU):
            answer_BCYX = model(batch.x_BCYX, timestep=1000 * batch.t_B, class_labels=batch.label_B).sample
            loss = (answer_BCYX.float() - batch.target_BCYX).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def pipeline(model: Any, noise_BCYX: Tensor, label_B: Tensor, steps: int) -> Tensor:
    """Draw as `DiTPipeline` does, with diffusers' scheduler of flow matching, which counts noise down from 1."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler: Any = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist())
    n = len(noise_BCYX)
    labels = torch.cat([label_B, torch.full((n,), model.config.num_embeds_ada_norm)])
    latents = torch.cat([noise_BCYX] * 2)
    for sigma_time in scheduler.timesteps:
        half = latents[:n]
        latents = torch.cat([half, half])
        # The model's time is that of the picture's share; its velocity leads away from noise, the scheduler's into it.
        asked = (1000 - sigma_time).expand(2 * n)
        conditional, unconditional = model(latents, timestep=asked, class_labels=labels).sample.split(n)
        guided = unconditional + GUIDANCE * (conditional - unconditional)
        latents = scheduler.step(-torch.cat([guided, guided]), sigma_time, latents).prev_sample
    return latents[:n]
