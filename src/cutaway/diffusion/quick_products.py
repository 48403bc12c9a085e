"""The precision in which a drawing's matrix products are quickest, where that costs nothing one can see.

Processors with tile units (AMX) multiply bfloat16 many times as fast as float32; so do most GPUs. Sums stay float32, as do
the picture itself and everything between the products. A pixel then differs by about one level of 255 at most
(`cutaway bench paint` measures it).
"""

from __future__ import annotations

import torch


def quick_products(device: torch.device) -> torch.autocast:
    """Return a context in which products run in bfloat16, where the device has units for it; else in float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_quick_bfloat16(device))


def has_quick_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is the quicker precision there."""
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported()
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
