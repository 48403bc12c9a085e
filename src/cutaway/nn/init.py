"""Initial weights: small random numbers, all from one generator, so that a seed gives the same model
anywhere.

GPT-2 (Radford et al. 2019): normal with one small deviation; the projections that write to the residual
stream smaller by sqrt(2L), since 2L of them add up. Starting those at zero instead makes each block the
identity at first and trains faster (Fixup, Zhang et al. 2019, arXiv:1901.09321; and many recipes since).
Gains start at one, offsets and n-gram rows at zero.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn

from cutaway.nn.embedding import LearnedPositions, NGramEmbedding, TokenEmbedding
from cutaway.nn.norm import LayerNorm, RMSNorm
from cutaway.nn.position import Rotary


def allocate(
    model: nn.Module,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    later: Collection[torch.Tensor] = (),
) -> None:
    """Give the parameters of a model built on the meta device memory, not yet written; shared stay shared.

    Args:
        later: parameters that get none yet.
    """
    # torch.empty_like would do, but from a meta tensor it imports 486 modules, 35 MB, before it allocates.
    made: dict[nn.Parameter, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter not in later:
                if parameter not in made:
                    made[parameter] = nn.Parameter(torch.empty(parameter.shape, dtype=dtype, device=device))
                module._parameters[name] = made[parameter]
        if isinstance(module, Rotary):
            module.cos_ND = torch.empty(module.cos_ND.shape, dtype=torch.float32, device=device)
            module.sin_ND = torch.empty(module.sin_ND.shape, dtype=torch.float32, device=device)
            module.fill()


@dataclass(frozen=True)
class Deviations:
    """Standard deviations of the initial weights; zero for weights that start at zero."""

    weights: float
    token_embedding: float
    projections: float
    """Of the matrices that write to the residual stream."""
    head: float


@torch.no_grad()
def initialise(model: nn.Module, std: Deviations, generator: torch.Generator) -> None:
    """Draw all weights, in the order of the modules."""
    drawn: set[nn.Parameter] = set()
    for name, module in model.named_modules():
        if isinstance(module, TokenEmbedding):
            normal(module.weight, std.token_embedding, generator)
            drawn.add(module.weight)
        elif isinstance(module, LearnedPositions):
            normal(module.weight, std.weights, generator)
        elif isinstance(module, NGramEmbedding):
            module.weight.zero_()
        elif isinstance(module, nn.Linear):
            if module.weight not in drawn:  # a tied head is drawn with the embedding
                normal(module.weight, deviation(name, std), generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, LayerNorm | RMSNorm):
            if module.weight is not None:
                module.weight.fill_(1.0)
            if isinstance(module, LayerNorm) and module.bias is not None:
                module.bias.zero_()


def deviation(name: str, std: Deviations) -> float:
    """Return the deviation of a linear layer's weights."""
    if name == "lm_head":
        return std.head
    return std.projections if name.endswith((".o_proj", ".down_proj")) else std.weights


def normal(weight: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """Fill with normal numbers of this deviation; zeros for a deviation of zero."""
    if std:
        weight.normal_(0.0, std, generator=generator)
    else:
        weight.zero_()
