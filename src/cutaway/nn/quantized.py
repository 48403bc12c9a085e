"""Linear layers with 8-bit weights: a quarter of the bytes to read, which is what a step of decoding waits
for.

    scale[o]  = max(i: |weight[o,i]|) / 127                 one for each output
    q[o,i]    = round(weight[o,i] / scale[o])               -127 .. 127
    y[o]      = scale[o] * step * sum(i: q[o,i] * (u[i] - zero)) + bias[o]

u are the inputs rounded to 0 .. 255 with one step and zero for the whole input, chosen anew at each call
from its least and greatest value ("dynamic"; Jacob et al. 2018, arXiv:1712.05877). Sums are whole numbers,
exact; what is lost is the rounding of both factors. Embeddings and norms keep their floats.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import TypeVar

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn

from cutaway.base.errors import UsageError

Model = TypeVar("Model", bound=nn.Module)


class Int8Linear(nn.Module):
    """A linear layer with 8-bit weights, for inference on a CPU.

    Args:
        q: the rounded weights.
        scale: what one unit is worth, for each output.
    """

    def __init__(self, q: Int8[Tensor, "O I"], scale: Float[Tensor, " O"], bias: Float[Tensor, " O"] | None) -> None:
        super().__init__()
        self.out_features, self.in_features = q.shape
        self.q, self.scale, self.bias = q, scale, bias
        self.packed = _pack(q, scale, bias)
        # Without VNNI the kernel adds pairs of products in 16 bits, so inputs may only have 7.
        self.reduce_range = not torch.cpu._is_vnni_supported()

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> Int8Linear:
        """Round a linear layer's weights."""
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp_(min=1e-12) / 127
        q = (weight / scale[:, None]).round_().to(torch.int8)
        return cls(q, scale, None if linear.bias is None else linear.bias.detach().float())

    @classmethod
    def merge(cls, layers: Sequence[Int8Linear]) -> Int8Linear:
        """Return layers with the same input as one, their outputs side by side."""
        biases = [layer.bias for layer in layers if layer.bias is not None]
        return cls(
            torch.cat([layer.q for layer in layers]),
            torch.cat([layer.scale for layer in layers]),
            torch.cat(biases) if biases else None,
        )

    @property
    def weight(self) -> Float[Tensor, "O I"]:
        """The weights as floats again, computed at each look."""
        return self.q * self.scale[:, None]

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Return the product; inputs are rounded on the way."""
        return torch.ops.quantized.linear_dynamic(x, self.packed, self.reduce_range)


def _pack(q: Tensor, scale: Tensor, bias: Tensor | None) -> torch.ScriptObject:
    """Return weights in the order the kernel reads them."""
    zeros = torch.zeros(len(scale), dtype=torch.int64)
    with warnings.catch_warnings():
        # PyTorch will drop quantized tensors one day; the kernel we want still takes its weights as one.
        warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
        weight = torch._make_per_channel_quantized_tensor(q, scale.double(), zeros, 0)
        return torch.ops.quantized.linear_prepack(weight, bias)


def quantize_int8(model: Model) -> Model:
    """Return a copy of the model with 8-bit linear layers; everything else is shared with the original.

    Raises:
        UsageError: the model is not on a CPU in float32.
    """
    weights = list(model.parameters())
    if any(weight.device.type != "cpu" or weight.dtype is not torch.float32 for weight in weights):
        raise UsageError("8-bit weights are made from float32 weights on the CPU; move the model there first")
    shared = {id(value): value for value in [*weights, *model.buffers()]}
    quantized = copy.deepcopy(model, shared)
    for module in list(quantized.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, Int8Linear.from_linear(child))
    return quantized.requires_grad_(False).eval()
