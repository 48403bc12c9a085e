"""The precision of a drawing's matrix products: bfloat16 where that is quicker and nobody asked for float32.

Processors with tile units (AMX) multiply bfloat16 many times as fast as float32, those with AVX-512's products of bfloat16
twice as fast; so do most GPUs. Sums stay float32, as do
the picture itself and everything between the products. A pixel then differs by about one level of 255
(`cutaway bench paint` measures it).
"""

from __future__ import annotations

from typing import Literal

import torch


def products_in(precision: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.autocast:
    """Return a context in which products run in this precision; `auto` is the quicker one there."""
    if precision == "auto":
        precision = "bfloat16" if has_quick_bfloat16(device) else "float32"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def has_quick_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is the quicker precision there."""
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
