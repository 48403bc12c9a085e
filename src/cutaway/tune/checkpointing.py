"""Gradient checkpointing: keep only what enters each block, and compute the rest a second time when it is needed.

    forward     x -> block 1 -> block 2 -> ... -> block L        kept: the L inputs, not what is inside
    backward    for each block, the last first: forward again from its input, now keeping all, then its derivatives

Memory for what the backward pass needs falls from L blocks to one block and L inputs; time grows by one forward pass, about
a third. The numbers are the same bit for bit, dropout included: each block draws again from the same state. Chen et al.
2016, arXiv:1604.06174 (their sqrt(L) segments are blocks here). Look at the peak of memory with and without.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cutaway.base.tap import is_listening
from cutaway.models.decoder import Decoder
from cutaway.nn.block import Block


def checkpoint_blocks(model: Decoder) -> Decoder:
    """Let the model's blocks be computed again for their gradients, in place; return the model."""
    for block in model.blocks:
        assert isinstance(block, Block)
        block.forward = Recomputed(block)  # type: ignore[assignment, method-assign]
    return model


class Recomputed:
    """A block's forward pass, of which only the input is kept."""

    def __init__(self, block: Block) -> None:
        self.block = block

    def __call__(self, x: Tensor, cache: Any = None, *more: Any) -> Tensor:
        """Return the block's output; without gradients, or while somebody listens, there is nothing to compute again."""
        forward = type(self.block).forward
        if cache is not None or not torch.is_grad_enabled() or is_listening():
            return forward(self.block, x, cache, *more)
        result: Tensor = checkpoint(forward, self.block, x, None, *more, use_reentrant=False)
        return result
