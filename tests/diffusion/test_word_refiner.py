"""Layers of the denoiser over the words: the identity at first, then what they add depends on the other words."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import DiTConfig, UNetConfig
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.unet import UNet
from cutaway.diffusion.word_refiner import WordRefiner, sine_places

SMALL_UNET = UNetConfig(size=8, width=8, multipliers=(1, 2), n_heads=2, d_words=12, reading_layers=2)
SMALL_DIT = DiTConfig(size=8, patch=4, d_model=16, n_layers=2, n_heads=2, d_words=12, d_pooled=4, reading_layers=2)


def told(seed: int = 0) -> Condition:
    generator = torch.Generator().manual_seed(seed)
    mask_BT = torch.tensor([[True] * 5, [True, True, True, False, False]])
    words_BTD = torch.randn(2, 5, 12, generator=generator)
    return Condition(words_BTD=words_BTD, mask_BT=mask_BT, pooled_BE=torch.randn(2, 4, generator=generator))


def stirred(model: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def placed() -> torch.Tensor:
    return told().words_BTD + sine_places(5, 12)


def test_at_first_it_says_where_words_stand_and_nothing_else() -> None:
    refiner = WordRefiner(12, 2)
    refiner.start_adding_nothing()
    assert torch.equal(refiner(told()).words_BTD, placed())


def test_each_place_has_a_vector_of_its_own() -> None:
    table_TD = sine_places(30, 12)
    assert torch.cdist(table_TD, table_TD).fill_diagonal_(9).min() > 0.3
    assert torch.allclose(sine_places(30, 12)[7, [0, 6]], torch.tensor([math.sin(7), math.cos(7)]))
    assert sine_places(3, 7).shape == (3, 7)


def test_the_order_of_words_is_told() -> None:
    refiner = stirred(WordRefiner(12, 1))
    one = told().rows(slice(0, 1))
    turned = dataclasses.replace(one, words_BTD=one.words_BTD.flip(1))
    assert (refiner(turned).words_BTD.flip(1) - refiner(one).words_BTD).abs().max() > 1e-2


@pytest.mark.parametrize("make", [lambda: UNet(SMALL_UNET), lambda: DiT(SMALL_DIT)])
def test_denoisers_start_it_so_and_train_it(make) -> None:
    model = make()
    assert torch.equal(model.word_refiner(told()).words_BTD, placed())
    stirred(model)
    model(torch.randn(2, 3, 8, 8), torch.tensor([0.3, 0.6]), told()).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.word_refiner.blocks[0].attn.parameters())


def test_a_word_learns_of_the_others_but_not_of_what_is_masked() -> None:
    refiner = stirred(WordRefiner(12, 1))
    before = refiner(told()).words_BTD
    other = told().words_BTD.clone()
    other[:, 0] = -other[:, 0]  # a shift alone would be lost in the norm
    changed = refiner(dataclasses.replace(told(), words_BTD=other)).words_BTD
    assert (changed[:, 2] - before[:, 2]).abs().max() > 1e-3
    hidden = told().words_BTD.clone()
    hidden[1, 3:] = -3 * hidden[1, 3:].flip(-1)
    same = refiner(dataclasses.replace(told(), words_BTD=hidden)).words_BTD
    assert torch.allclose(same[1, :3], before[1, :3], atol=1e-6)


def test_without_words_nothing_happens() -> None:
    assert WordRefiner(12, 1)(Condition()) == Condition()


def test_a_transformer_made_ready_reads_the_same() -> None:
    model = stirred(DiT(SMALL_DIT))
    x_BCYX, t_B = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2)), torch.full((2,), 0.4)
    with torch.no_grad():
        expected = model(x_BCYX, t_B, told())
        assert torch.allclose(model.ready(told())(x_BCYX, t_B), expected, atol=1e-5)


def test_none_are_made_where_none_are_asked_for() -> None:
    assert UNet(dataclasses.replace(SMALL_UNET, reading_layers=0)).word_refiner is None
    assert DiT(dataclasses.replace(SMALL_DIT, d_words=0)).word_refiner is None
