"""LoRA: leave a trained matrix as it is and learn a small correction beside it.

    y = W x + b + scale * B A x        A: R x inputs, B: outputs x R, scale = alpha / R

A starts random and B at zero, so the model starts as it was. Only A and B learn: at rank 16 about a hundredth of
the numbers, and W + scale * B A is again an ordinary matrix (`merge`). Hu et al. 2021, arXiv:2106.09685, equation 3.

In the paper only attention has adapters; here every linear layer of the blocks has one unless told otherwise.
Beside a matrix in 16 bits A and B are kept in 32, since a step of training is smaller than what 16 bits can tell.
Look at the singular values of B A: how many directions did the text need?
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.errors import ConfigError, NonFiniteError, UsageError, suggest
from cutaway.base.seed import torch_generator
from cutaway.base.tap import is_listening
from cutaway.interop.peft_adapter import Factors, read_adapter, write_adapter
from cutaway.models.decoder import Decoder
from cutaway.tune.corrected import CorrectedMatrix, CorrectedOutput, pays, product_dtype
from cutaway.tune.quantize import NF4Linear, dequantize_base, replace


@dataclass(frozen=True)
class LoRAConfig:
    """Which matrices get a correction, and how large it may be."""

    rank: int = 16
    """Directions each correction can use."""
    alpha: float = 32.0
    """Corrections are multiplied by this divided by the rank."""
    projections: tuple[str, ...] = ()
    """Names of the linear layers that get one, as q_proj or down_proj; left empty: all in the blocks."""
    dropout: float = 0.0
    """Share of each correction's inputs zeroed at random while training."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"lora.rank is {self.rank}; expected 1 or more")
        if not 0 < self.alpha < math.inf:
            raise ConfigError(f"lora.alpha is {self.alpha}; expected a positive number")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"lora.dropout is {self.dropout}; expected a share of at least 0 and below 1")


class Adapter(nn.Module):
    """The correction scale * B A x."""

    def __init__(self, A: nn.Parameter, B: nn.Parameter, scale: float, dropout: float) -> None:
        super().__init__()
        self.A, self.B, self.scale = A, B, scale
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Return what is added to the layer's output."""
        inputs_NR = F.linear(self.dropout(x.to(self.A.dtype)), self.A)
        return F.linear(inputs_NR, self.B) * self.scale

    def product(self) -> Float[Tensor, "O I"]:
        """Return scale * B A, what is added to the matrix."""
        return (self.B @ self.A) * self.scale


class LoRALinear(nn.Linear):
    """A linear layer with a correction beside it; its own weight and bias keep their names and are frozen."""

    def __init__(self, linear: nn.Linear, adapter: Adapter) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.adapter = adapter
        self.plain = (linear,)  # in a tuple it is no part of this module
        self.weight_before: Tensor | None = None
        """While merged, the weight without the correction."""
        self.rounded: tuple[object, Tensor] | None = None
        """The weight in the precision of products, and which weight it was."""

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Return the layer's output, corrected."""
        if self.weight_before is not None:
            return F.linear(x, self.weight, self.bias)
        adapter, dtype = self.adapter, product_dtype(x)
        is_plain = isinstance(adapter.dropout, nn.Identity) or not self.training
        if is_plain and not self.weight.requires_grad and not is_listening():
            # the same in fewer passes over memory, where there are such ways
            factors = (adapter.A, adapter.B, adapter.scale)
            if dtype is not x.dtype or dtype is not self.weight.dtype:
                return CorrectedOutput.apply(x, self.weight_in(dtype), self.bias, *factors)
            n_rows = x.numel() // self.in_features
            if dtype.itemsize >= 4 and dtype is adapter.A.dtype and pays(n_rows, self.in_features, self.out_features):
                return CorrectedMatrix.apply(x, self.weight, self.bias, *factors)
        y = F.linear(x, self.weight, self.bias)
        return (y + adapter(x)).to(y.dtype)

    def weight_in(self, dtype: torch.dtype) -> Tensor:
        """Return the weight, which rests, rounded once and kept."""
        if self.weight.dtype is dtype:
            return self.weight
        state = (self.weight.data_ptr(), self.weight._version, dtype)
        if self.rounded is None or self.rounded[0] != state:
            self.rounded = (state, self.weight.detach().to(dtype))
        return self.rounded[1]

    def without_adapter(self) -> nn.Linear:
        """Return the layer as it was before it had an adapter, with the weight it has now."""
        (linear,) = self.plain
        linear.weight, linear.bias = self.weight, self.bias
        return linear


class LoRANF4Linear(NF4Linear):
    """A linear layer in 4 bits with a correction beside it, in full precision (QLoRA)."""

    def __init__(self, linear: NF4Linear, adapter: Adapter) -> None:
        shape = (linear.out_features, linear.in_features)
        super().__init__(linear.packed, linear.absmax, linear.bias, shape, linear.weight_dtype)
        self.adapter = adapter

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Return the layer's output, corrected."""
        adapter, dtype = self.adapter, product_dtype(x)
        is_plain = isinstance(adapter.dropout, nn.Identity) or not self.training
        if is_plain and dtype is x.dtype is adapter.A.dtype and not is_listening():
            n_rows = x.numel() // self.in_features
            if dtype.itemsize >= 4 and pays(n_rows, self.in_features, self.out_features):
                factors = (adapter.A, adapter.B, adapter.scale)
                return CorrectedMatrix.apply(x, partial(self.floats, dtype), self.bias, *factors)
        y = super().forward(x)
        return (y + self.adapter(x)).to(y.dtype)

    def without_adapter(self) -> NF4Linear:
        """Return the layer as it was before it had an adapter."""
        return NF4Linear(self.packed, self.absmax, self.bias, (self.out_features, self.in_features), self.weight_dtype)


def add_lora(model: Decoder, config: LoRAConfig | None = None, seed: int = 0) -> Decoder:
    """Give the model's linear layers adapters, in place, and freeze everything else; return the model.

    Raises:
        UsageError: the model has adapters already, or none of the projections asked for.
    """
    config = config or LoRAConfig()
    found = _free_layers(model)
    known = list(dict.fromkeys(name.rpartition(".")[2] for name in found))
    for name in config.projections:
        if name not in known:
            raise UsageError(
                f"the model has no projection {name!r}{suggest(name, known)}; expected some of {', '.join(known)}"
            )
    chosen = config.projections or known
    generator = torch_generator(seed, "lora")
    model.requires_grad_(False)
    for name, linear in found.items():
        if name.rpartition(".")[2] in chosen:
            dtype, device = _adapter_place(linear)
            limit = linear.in_features**-0.5  # as nn.Linear starts, and peft
            A_RI = torch.empty(config.rank, linear.in_features).uniform_(-limit, limit, generator=generator)
            A = nn.Parameter(A_RI.to(device, dtype))
            B = nn.Parameter(torch.zeros(linear.out_features, config.rank, device=device, dtype=dtype))
            replace(model, name, _adapted(linear, Adapter(A, B, config.alpha / config.rank, config.dropout)))
    return model


def remove_lora(model: Decoder) -> Decoder:
    """Take the adapters off, in place: the model is what it was before, and all of it but 4-bit weights can learn."""
    unmerge(model)
    return _plain(model)


def bake(model: Decoder) -> Decoder:
    """Add the corrections to the weights for good, in place: a plain model with nothing beside it, in floats."""
    merge(model)
    return _plain(model)


@torch.no_grad()
def merge(model: Decoder) -> None:
    """Add the corrections to the weights, in place, as `unmerge` undoes it: the weights before are kept.

    The sum is rounded once, to the weight's precision. 4-bit weights become floats for good first, eight times as large:
    with a correction they are no longer one of 16 levels each.

    Raises:
        NonFiniteError: a correction has infinite or undefined numbers; nothing was merged.
    """
    for name, layer in lora_layers(model):
        if not (layer.adapter.A.isfinite().all() and layer.adapter.B.isfinite().all()):
            raise NonFiniteError(f"the adapter of {name} has numbers that are not finite; go back to one before that")
    for name, layer in list(lora_layers(model)):
        if isinstance(layer, LoRANF4Linear):
            layer = LoRALinear(layer.to_linear(), layer.adapter)
            replace(model, name, layer)
        if layer.weight_before is None:
            layer.weight_before = layer.weight.detach().clone()
            layer.weight.copy_(layer.weight + layer.adapter.product())
    dequantize_base(model)


@torch.no_grad()
def unmerge(model: Decoder) -> None:
    """Put back the weights as they were before `merge`, bit for bit."""
    for _, layer in lora_layers(model):
        if isinstance(layer, LoRALinear) and layer.weight_before is not None:
            layer.weight.copy_(layer.weight_before)
            layer.weight_before = None


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoRALinear | LoRANF4Linear]]:
    """Yield the layers that have adapters, with their names."""
    for name, module in model.named_modules():
        if isinstance(module, LoRALinear | LoRANF4Linear):
            yield name, module


def adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return what learns, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if ".adapter." in name}


def save_adapter(path: str | Path, model: Decoder, base: str | None = None, base_hash: str = "") -> None:
    """Write the adapters as a folder that `peft` loads.

    Args:
        base: where the model they belong to is found: a folder or an id of the Hugging Face Hub.
        base_hash: of that model, to notice when it is another one later.

    Raises:
        UsageError: the model has no adapters.
    """
    layers = dict(lora_layers(model))
    if not layers:
        raise UsageError("the model has no adapters to save; give it some with add_lora")
    dropout = max(getattr(layer.adapter.dropout, "p", 0.0) for layer in layers.values())
    factors = {name: Factors(layer.adapter.A, layer.adapter.B, layer.adapter.scale) for name, layer in layers.items()}
    write_adapter(Path(path), model.config, factors, dropout, base, base_hash)


def load_adapter(path: str | Path, model: Decoder) -> Decoder:
    """Give the model the adapters of a folder of ours or of `peft`, in place; return the model.

    Where a folder has query, key and value in one (GPT-2), our three adapters share one A, and so learn as one.

    Raises:
        ModelFormatError: it is not such a folder, or not one for this model.
        UsageError: the model has adapters already.
    """
    found = _free_layers(model)
    factors, dropout = read_adapter(Path(path), model.config, {name: x.weight.shape for name, x in found.items()})
    model.requires_grad_(False)
    made: dict[int, nn.Parameter] = {}
    for name, factor in factors.items():
        linear = found[name]
        dtype, device = _adapter_place(linear)
        A, B = (made.setdefault(id(x), nn.Parameter(x.to(device, dtype))) for x in (factor.A, factor.B))
        replace(model, name, _adapted(linear, Adapter(A, B, factor.scale, dropout)))
    return model


def _free_layers(model: Decoder) -> dict[str, nn.Linear | NF4Linear]:
    """Return the linear layers of the blocks by name, after checking that none has an adapter."""
    if any(True for _ in lora_layers(model)):
        raise UsageError("the model has adapters already; bake them in or remove them first")
    found = {f"blocks.{name}": x for name, x in model.blocks.named_modules() if type(x) in (nn.Linear, NF4Linear)}
    if not found:
        raise UsageError("the model has no linear layers in floats or 4 bits to adapt; load it without rounding to 8")
    return found


def _adapted(linear: nn.Linear | NF4Linear, adapter: Adapter) -> LoRALinear | LoRANF4Linear:
    return LoRANF4Linear(linear, adapter) if isinstance(linear, NF4Linear) else LoRALinear(linear, adapter)


def _adapter_place(linear: nn.Linear | NF4Linear) -> tuple[torch.dtype, torch.device]:
    """Return the precision and the device of an adapter beside a layer."""
    if isinstance(linear, NF4Linear):
        return linear.absmax.dtype, linear.absmax.device
    dtype = linear.weight.dtype
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype, linear.weight.device


def _plain(model: Decoder) -> Decoder:
    for name, layer in list(lora_layers(model)):
        replace(model, name, layer.without_adapter())
    return model.requires_grad_(True)
