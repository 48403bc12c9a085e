"""The change of one matrix in the microscope: recorded as arithmetic, so that every number of it can be taken apart.

    product   = scale * (B A)                     LoRA; else the difference of the two weights
    merged    = weight + product
    stretched = product right                     right, left: the strongest directions, one a column
    singular_values = sum over rows of left * stretched

The directions are found beforehand and stand in the trace as given; that they are the right ones shows in the singular
values, each a sum of products anybody can follow down to A and B.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cutaway.base.errors import UsageError, suggest
from cutaway.base.tap import tap
from cutaway.interop.peft_adapter import Factors
from cutaway.microscope.trace import Trace
from cutaway.microscope.tracing import trace
from cutaway.models.decoder import Decoder
from cutaway.voice.change import product

DIRECTIONS = 16


class ChangedMatrix(nn.Module):
    """A matrix, its change, and the strongest directions of it."""

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor, delta: Tensor, rank: int = DIRECTIONS) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().float().clone())
        left, _, right = torch.linalg.svd(delta, full_matrices=False)
        most = min(rank, DIRECTIONS)
        self.register_buffer("left", left[:, :most].contiguous())
        self.register_buffer("right", right[:most].T.contiguous())

    def change(self) -> Tensor:
        """Return what is added to the weight."""
        raise NotImplementedError

    def forward(self) -> Tensor:
        """Return the weight after tuning."""
        product_OI = tap("product_OI", self.change())
        stretched_OR = tap("stretched_OR", product_OI @ self.right)
        tap("singular_values_R", (self.left * stretched_OR).sum(0))
        return tap("merged_OI", self.weight + product_OI)


class ChangedByProduct(ChangedMatrix):
    """LoRA."""

    def __init__(self, weight: Tensor, factor: Factors) -> None:
        super().__init__(weight, product(factor), len(factor.A))
        self.A = nn.Parameter(factor.A.detach().float().clone())
        self.B = nn.Parameter(factor.B.detach().float().clone())
        self.scale = factor.scale

    def change(self) -> Tensor:
        """Return scale * B A."""
        return (self.B @ self.A) * self.scale


class ChangedOutright(ChangedMatrix):
    """Full fine-tuning."""

    def __init__(self, weight: Tensor, tuned: Tensor) -> None:
        super().__init__(weight, tuned.detach().float() - weight.detach().float())
        self.tuned = nn.Parameter(tuned.detach().float().clone())

    def change(self) -> Tensor:
        """Return the difference."""
        return self.tuned - self.weight


def change_trace(
    base: Decoder, tuned: Decoder, factors: dict[str, Factors] | None, name: str, model: str = ""
) -> Trace:
    """Return the change of one matrix, recorded.

    Args:
        name: of the parameter, as blocks.0.attn.q_proj.weight; `.weight` may be left out.
        model: what the tuned model is called.

    Raises:
        UsageError: it has no such matrix, or it did not move.
    """
    name = name if name.endswith(".weight") else f"{name}.weight"
    parameters = {key: value for key, value in base.named_parameters() if value.dim() == 2}
    if name not in parameters:
        raise UsageError(f"the model has no matrix {name!r}{suggest(name, parameters)}")
    factor = None if factors is None else factors.get(name.removesuffix(".weight"))
    module: ChangedByProduct | ChangedOutright
    if factor is not None:
        module = ChangedByProduct(parameters[name], factor)
    else:
        after = tuned.get_parameter(name)
        if factors is not None or torch.equal(after, parameters[name]):
            raise UsageError(f"{name} did not move")
        module = ChangedOutright(parameters[name], after)
    with torch.no_grad():
        recorded = trace(module, ())
    recorded.notes |= {"model": model or "a tuned model", "text": f"what tuning moved in {name}", "tokens": []}
    return recorded
