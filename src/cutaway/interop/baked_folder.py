"""An adapter's folder as a plain model: the weights of its base, with the corrections added.

W' = W + scale * B A        rounded once, to the precision W is kept in
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from cutaway.base.errors import ModelFormatError
from cutaway.interop.adapter_folder import chain, find_adapter_base, hash_base
from cutaway.interop.folder_files import ADAPTER_WEIGHTS
from cutaway.interop.hub_folder import Rounding, load_model
from cutaway.interop.peft_adapter import BASE_NOTE, read_adapter
from cutaway.models.decoder import Decoder


def load_baked(folder: Path, dtype: torch.dtype | None = None, rounding: Rounding | None = None) -> Decoder:
    """Return the model of an adapter's folder, in evaluation mode.

    Raises:
        ModelFormatError: the base is not there, or the adapter is not one for it.
    """
    *adapters, base = chain(folder)
    model = load_model(base, dtype)
    for adapter in reversed(adapters):
        check_base(adapter)
        add_corrections(model, adapter)
    if rounding is not None:
        for name, layer in [(name, layer) for name, layer in model.blocks.named_modules() if type(layer) is nn.Linear]:
            parent, _, child = name.rpartition(".")
            setattr(model.blocks.get_submodule(parent), child, rounding(layer).eval())
    return model


def check_base(folder: Path) -> None:
    """Refuse a base that is not the one the adapter was trained on, where that was noted.

    Raises:
        ModelFormatError: it has changed.
    """
    if not (folder / ADAPTER_WEIGHTS).is_file():
        return
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as opened:
        noted = (opened.metadata() or {}).get(BASE_NOTE)
    base = find_adapter_base(folder)
    if noted and noted != hash_base(base):
        raise ModelFormatError(
            f"{folder} is an adapter for the model that was in {base}, which has changed since (was it trained on?); "
            f"put the old one back, or tune again"
        )


@torch.no_grad()
def add_corrections(model: Decoder, folder: Path) -> None:
    """Add an adapter's corrections to the weights, in place."""
    weights = {
        f"blocks.{name}": layer.weight for name, layer in model.blocks.named_modules() if isinstance(layer, nn.Linear)
    }
    factors, _ = read_adapter(folder, model.config, {name: weight.shape for name, weight in weights.items()})
    for name, factor in factors.items():
        weight = weights[name]
        wide = torch.float32 if weight.dtype in (torch.bfloat16, torch.float16) else weight.dtype
        B, A = factor.B.to(weight.device, wide), factor.A.to(weight.device, wide)
        weight.copy_(weight + (B @ A) * factor.scale)
