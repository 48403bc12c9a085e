"""4-bit weights (NF4): keep a frozen matrix in an eighth of its bytes, and still learn through it.

    absmax[b] = max(i: |weight[b,i]|)                        one for every 64 numbers of the matrix
    code[b,i] = the level nearest to weight[b,i] / absmax[b]       0 .. 15; two codes to a byte
    weight'   = level[code[b,i]] * absmax[b]

The 16 levels are quantiles of a normal distribution, close where weights are many, and one of them is 0. A matrix is
made floats again when it is needed, forward and once more backward, and dropped after: what is kept is 4 bits for a
weight and 32 for 64 of them, 4.5 in all. QLoRA: Dettmers et al. 2023, arXiv:2305.14314, section 3; without its double
quantisation, which rounds absmax too and saves 0.4 bits. Codes are bit for bit those of the `bitsandbytes` package.
Look at one block of weights and what it becomes: the largest is exact, the smallest are hit hardest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from cutaway.base.errors import UsageError
from cutaway.interop.hub_folder import load_folder
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer

Model = TypeVar("Model", bound=nn.Module)

LEVELS = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
"""Appendix E of the paper: 8 and 9 evenly spaced quantiles of each half of a normal distribution, 0 in common."""
BLOCK = 64
"""Weights that share one absmax."""
PIECE = 1 << 18
"""Weights rounded at a time, so that rounding a large matrix takes little memory besides."""


def quantize(weight: Tensor) -> tuple[UInt8[Tensor, " Y"], Float[Tensor, " N"]]:
    """Return (codes, two to a byte, the first in the upper half; absmax of each block); the last block may be short."""
    numbers, pieces = weight.detach().reshape(-1), []
    for piece in numbers.split(PIECE):
        short = -len(piece) % BLOCK
        pieces.append(_quantize_blocks(F.pad(piece, (0, short)).float().view(-1, BLOCK)))
    return torch.cat([codes for codes, _ in pieces]), torch.cat([absmax for _, absmax in pieces])


def _quantize_blocks(blocks: Float[Tensor, "N 64"]) -> tuple[Tensor, Tensor]:
    absmax_N = blocks.abs().amax(dim=1)
    shares = (blocks * (1 / absmax_N.clamp(min=1e-38))[:, None]).view(-1)
    codes = torch.zeros_like(shares, dtype=torch.uint8)
    for lower, upper in zip(_levels(shares), _levels(shares)[1:], strict=False):
        codes += shares > (lower + upper) / 2
    return (codes[::2] << 4) | codes[1::2], absmax_N


def dequantize(packed: UInt8[Tensor, " Y"], absmax: Float[Tensor, " N"]) -> Float[Tensor, " I"]:
    """Return the numbers, in 32 bits; after the last weight come zeros that fill its block."""
    levels = _levels(absmax)
    # every byte stands for two levels: 256 pairs, looked up as if each pair were one number of 64 bits
    pairs = torch.cartesian_prod(levels, levels).view(torch.float64).view(-1)
    numbers = pairs.index_select(0, packed.int()).view(torch.float32)
    return numbers.view(-1, BLOCK).mul_(absmax[:, None]).view(-1)


def _levels(like: Tensor) -> Float[Tensor, " levels"]:
    return torch.tensor(LEVELS, dtype=torch.float32, device=like.device)


class NF4Linear(nn.Module):
    """A linear layer with a frozen 4-bit matrix. Gradients pass through it; it has none itself.

    Args:
        shape: outputs, inputs.
        dtype: of the matrix it stands for.
    """

    def __init__(
        self,
        packed: UInt8[Tensor, " Y"],
        absmax: Float[Tensor, " N"],
        bias: nn.Parameter | None,
        shape: tuple[int, int],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = shape
        self.register_buffer("packed", packed)
        self.register_buffer("absmax", absmax)
        self.packed: Tensor
        self.absmax: Tensor
        self.bias: nn.Parameter | None = bias
        self.weight_dtype = dtype

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> NF4Linear:
        """Round a linear layer's weights."""
        shape = (linear.out_features, linear.in_features)
        return cls(*quantize(linear.weight), linear.bias, shape, linear.weight.dtype)

    def to_linear(self) -> nn.Linear:
        """Return a layer with the rounded weights as floats."""
        linear = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        linear.weight = nn.Parameter(self.weight, requires_grad=False)
        linear.bias = self.bias  # type: ignore[assignment]
        return linear.train(self.training)

    @property
    def weight(self) -> Float[Tensor, "O I"]:
        """The rounded weights as floats, computed at each look."""
        return self.floats(self.weight_dtype)

    def floats(self, dtype: torch.dtype) -> Float[Tensor, "O I"]:
        """Return the rounded weights as floats of this precision."""
        numbers = dequantize(self.packed, self.absmax)[: self.out_features * self.in_features]
        return numbers.view(self.out_features, self.in_features).to(dtype)

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Return the product with the rounded matrix."""
        return Product.apply(x, self.bias, self)


class Product(torch.autograd.Function):
    """x W' + bias, keeping no copy of W' in floats: the backward pass makes it anew."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, layer: NF4Linear) -> Tensor:
        """Return the product, in autocast's precision where that is on."""
        ctx.layer, ctx.dtype = layer, x.dtype
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        return F.linear(x, layer.floats(dtype), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients with respect to x and bias."""
        wants_x, wants_bias, _ = ctx.needs_input_grad
        bias = ctx.layer.bias
        to_x = (gradient @ ctx.layer.floats(gradient.dtype)).to(ctx.dtype) if wants_x else None
        return to_x, gradient.flatten(0, -2).sum(0).to(bias.dtype) if wants_bias else None, None


def quantize_base(model: Model) -> Model:
    """Round the linear layers of the blocks to 4 bits, in place, and freeze everything; return the model.

    Embeddings, norms and the head stay as they are, as its authors keep them.

    Raises:
        UsageError: there is nothing to round, or only adapted layers.
    """
    linears = [name for name, module in model.named_modules() if is_quantizable(name, module)]
    if not linears:
        raise UsageError("the model has no linear layers in floats to round to 4 bits; round it before add_lora")
    for name in linears:
        replace(model, name, NF4Linear.from_linear(model.get_submodule(name)))  # type: ignore[arg-type]
    return model.requires_grad_(False)


def load_quantized(path_or_id: str | Path, dtype: torch.dtype | None = None) -> tuple[Decoder, Tokenizer | None]:
    """Return a folder's model, its blocks rounded to 4 bits as they are read, and its tokenizer.

    The model in floats never exists: what is held is the rounded one and one stored tensor.

    Args:
        path_or_id: as for `load_folder`.
        dtype: precision of the rest.
    """
    model, tokenizer = load_folder(path_or_id, dtype, NF4Linear.from_linear)
    return model.requires_grad_(False), tokenizer


def dequantize_base(model: Model) -> Model:
    """Make the 4-bit layers ordinary ones again, in place, with the rounded weights: eight times the memory."""
    for name, layer in list(model.named_modules()):
        if type(layer) is NF4Linear:
            replace(model, name, layer.to_linear())
    return model


def is_quantizable(name: str, module: nn.Module) -> bool:
    """Return whether a model's part is a linear layer of a block, in floats and without adapter."""
    return name.startswith("blocks.") and type(module) is nn.Linear


def replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer in the place of another."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer.train(model.training))
