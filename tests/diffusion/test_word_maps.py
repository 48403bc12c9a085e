"""Where words are read: shares that sum to one, the conditional half alone, painting unchanged by who listens."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from cutaway.base.errors import UsageError
from cutaway.diffusion.config import DiTConfig, UNetConfig
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.unet import UNet
from cutaway.diffusion.word_maps import paint_with_word_maps
from diffusion.painters import QUICK, label_painter, randomised, text_reader, word_painter

TOKENS = ("<begin>", "a", "red", "cat", "<end>")


def test_shares_of_the_words_sum_to_one() -> None:
    painted, maps = paint_with_word_maps(word_painter(), "a red cat", QUICK)
    assert maps.tokens == TOKENS
    assert [tuple(layer.shape) for layer in maps.layers] == [(3, 4, 5, 4, 4)] * 2
    torch.testing.assert_close(maps.mean().sum(dim=1), torch.ones(3, 4, 4))
    assert painted.pictures.shape == (1, 8, 8, 3)


@pytest.mark.parametrize(("sampler", "calls"), [("euler", 3), ("heun", 5), ("dpm++", 3)])
def test_listening_changes_no_picture(sampler: str, calls: int) -> None:
    painter, config = word_painter(), dataclasses.replace(QUICK, sampler=sampler)
    painted, maps = paint_with_word_maps(painter, "a red cat", config)
    unheard = paint(painter, ["a red cat"], config, seeds=[config.seed])
    assert (np.abs(painted.pictures.astype(int) - unheard.pictures) <= 1).all()
    assert len(maps.mean()) == calls


def test_guidance_does_not_mix_in_the_empty_prompt() -> None:
    painter = word_painter()
    first = [
        paint_with_word_maps(painter, "a red cat", dataclasses.replace(QUICK, guidance=guidance))[1].layers[0][0]
        for guidance in (1.0, 5.0)
    ]
    torch.testing.assert_close(*first)


def test_unknown_words_have_no_map() -> None:
    assert paint_with_word_maps(word_painter(), "a glittering red cat", QUICK)[1].tokens == TOKENS


def test_layers_of_a_unet_are_scaled_to_the_finest() -> None:
    config = UNetConfig(size=8, width=16, multipliers=(1, 2), attention_from=8, n_heads=2, d_words=12)
    torch.manual_seed(0)
    painter = Painter(randomised(UNet(config)), text=text_reader())
    _, maps = paint_with_word_maps(painter, "a red cat", QUICK)
    assert {layer.shape[-1] for layer in maps.layers} == {8, 4}
    torch.testing.assert_close(maps.mean().sum(dim=1), torch.ones(3, 8, 8))


def test_painters_without_words_say_so() -> None:
    with pytest.raises(UsageError, match="reads no words"):
        paint_with_word_maps(label_painter(), "cat", QUICK)
    denoiser = DiT(DiTConfig(size=8, patch=2, d_model=24, n_layers=1, n_heads=4, d_pooled=10))
    with pytest.raises(UsageError, match="no cross-attention"):
        paint_with_word_maps(Painter(denoiser, text=text_reader()), "a red cat", QUICK)
