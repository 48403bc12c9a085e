"""The MLP: at each position alone, read the residual stream, bend it, write the result back.

    plain   y = down(act(up(x)))                   act: GELU, its tanh form, ReLU, ReLU^2
    gated   y = down(silu(gate(x)) * up(x))        SwiGLU: Shazeer 2020, arXiv:2002.05202

GELU: Hendrycks and Gimpel 2016, arXiv:1606.08415; GPT-2 has its tanh form. ReLU^2: So et al. 2021, Primer,
arXiv:2109.08668. Two thirds of a transformer's weights are here; each hidden unit is a question (a row of up)
with an answer (a column of down). Look at `mlp_post_BTF`: mostly zeros after ReLU and ReLU^2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.tap import tap

Activation = Callable[[Tensor], Tensor]


def gelu(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
    """Return x * Phi(x), Phi the normal distribution's."""
    return F.gelu(x)


def gelu_tanh(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
    """Return x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))), which is GELU to about three digits."""
    return F.gelu(x, approximate="tanh")


def relu(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
    """Return max(x, 0)."""
    return F.relu(x)


def relu2(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
    """Return max(x, 0)^2."""
    return ReLU2.apply(x)


class ReLU2(torch.autograd.Function):
    """max(x, 0)^2 with its derivative 2 max(x, 0) written out, which saves three passes over memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return the value, keeping max(x, 0)."""
        positive = F.relu(x)
        ctx.save_for_backward(positive)
        return positive.square()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to x."""
        (positive,) = ctx.saved_tensors
        return torch.addcmul(positive.new_zeros(()), gradient, positive, value=2)


ACTIVATIONS: dict[str, Activation] = {"gelu": gelu, "gelu_tanh": gelu_tanh, "relu": relu, "relu2": relu2}


class MLP(nn.Module):
    """Up, a nonlinearity, down."""

    def __init__(self, d_model: int, d_ff: int, activation: Activation, bias: bool) -> None:
        super().__init__()
        self.up_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.activation = activation
        self.down_proj = nn.Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Return what the MLP writes to the residual stream."""
        pre_BTF = tap("mlp_pre_BTF", self.up_proj(x))
        post_BTF = tap("mlp_post_BTF", self.activation(pre_BTF))
        return self.down_proj(post_BTF)


class GatedMLP(nn.Module):
    """Up, times a gate that opens smoothly, down."""

    def __init__(self, d_model: int, d_ff: int, bias: bool) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.up_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.down_proj = nn.Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Return what the MLP writes to the residual stream."""
        gate_BTF = tap("mlp_gate_BTF", self.gate_proj(x))
        pre_BTF = tap("mlp_pre_BTF", self.up_proj(x))
        post_BTF = tap("mlp_post_BTF", F.silu(gate_BTF) * pre_BTF)
        return self.down_proj(post_BTF)
