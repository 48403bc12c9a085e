"""Drawing in bfloat16: nothing that one can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from cutaway.diffusion import quick_products
from cutaway.diffusion.config import DiTConfig, PaintSamplingConfig, UNetConfig
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.unet import UNet
from diffusion.painters import randomised

CPU = torch.device("cpu")
real = quick_products.has_quick_bfloat16


@pytest.mark.parametrize(
    "make",
    [
        lambda: DiT(DiTConfig(size=8, patch=4, d_model=24, n_layers=2, n_heads=4)),
        lambda: UNet(UNetConfig(size=8, width=8, multipliers=(1, 2), attention_from=4)),
    ],
)
def test_a_pixel_differs_by_a_level_or_two(
    make: Callable[[], torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    painter = Painter(randomised(make()))
    settings = PaintSamplingConfig(steps=4, n=3, guidance=1.0)
    exact = paint(painter, [""], settings).pictures.astype(int)
    monkeypatch.setattr(quick_products, "has_quick_bfloat16", lambda device: True)
    quick = paint(painter, [""], settings).pictures.astype(int)
    assert (paint(painter, [""], replace(settings, precision="float32")).pictures == exact).all()
    assert (quick != exact).any()
    assert abs(quick - exact).max() <= 3


def test_only_where_there_are_units_for_it() -> None:
    assert real(CPU) == (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    assert not real(torch.device("mps"))
    assert not quick_products.products_in("auto", CPU)._enabled  # here, tests are in float32
    assert quick_products.products_in("bfloat16", CPU)._enabled
