"""What words alone let one expect: the error, who gets a gradient, and words that learn whose they are."""

from __future__ import annotations

import math

import pytest
import torch

from cutaway.base.errors import ConfigError
from cutaway.diffusion.config import ContrastiveConfig, PicturesConfig, TextEncoderConfig
from cutaway.diffusion.contrastive import Contrastive
from cutaway.diffusion.foresight import Foresight, foresight_error
from cutaway.diffusion.pictures import Creatures
from cutaway.diffusion.text_encoder import TextEncoder
from cutaway.presets_paint import text

TEXT = TextEncoderConfig(vocab_size=31, context_length=8, d_model=24, n_layers=2, n_heads=4, d_shared=10)
CONFIG = ContrastiveConfig(size=16, channels=3, width=8, n_levels=2, text=TEXT)


def pairs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(5, 3, 16, 16), torch.randint(31, (5, 8)), torch.ones(5, 8, dtype=torch.bool)


def test_the_error_is_one_where_nothing_is_expected_and_zero_where_all_is_foreseen() -> None:
    torch.manual_seed(0)
    map_BCYX = 3 * torch.randn(2, 50, 4, 4) + 7
    nothing_BPC = torch.zeros(2, 16, 50)
    assert float(foresight_error(nothing_BPC, map_BCYX)) == pytest.approx(1, abs=1e-3)
    rows_BPC = map_BCYX.permute(0, 2, 3, 1).reshape(2, 16, 50)
    seen_BPC = (rows_BPC - rows_BPC.mean(-1, keepdim=True)) / rows_BPC.std(-1, correction=0, keepdim=True)
    assert float(foresight_error(seen_BPC, map_BCYX)) == pytest.approx(0, abs=1e-6)
    assert float(foresight_error(seen_BPC.flip(1), map_BCYX)) > 0.5  # the places count


def test_words_are_moved_by_it_and_pictures_are_not() -> None:
    torch.manual_seed(0)
    model = Contrastive(CONFIG)
    model(*pairs()).foresight_error.backward()
    assert all(weight.grad is None for weight in model.picture_encoder.parameters())
    assert model.foresight is not None
    assert all(weight.grad is not None for weight in model.foresight.parameters())
    with torch.no_grad():
        model.foresight.cross.o_proj.weight.normal_()
    model(*pairs()).foresight_error.backward()
    last_block = model.text_encoder.blocks[-1]
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in last_block.parameters())


def test_only_a_pictures_own_caption_foresees_it() -> None:
    torch.manual_seed(0)
    model = Contrastive(CONFIG)
    assert model.foresight is not None
    torch.nn.init.normal_(model.foresight.cross.o_proj.weight)
    x_BCYX, tokens_BT, mask_BT = pairs()
    wrong_BT = tokens_BT.flip(0)
    alone = model(x_BCYX, tokens_BT, mask_BT)
    beside = model(x_BCYX, torch.cat([tokens_BT, wrong_BT, wrong_BT]), mask_BT.repeat(3, 1))
    assert beside.captions_NE.shape == (15, 10)
    assert torch.allclose(alone.foresight_error, beside.foresight_error, atol=1e-5)
    others = model(x_BCYX, torch.cat([wrong_BT, tokens_BT]), mask_BT.repeat(2, 1))
    assert not torch.allclose(alone.foresight_error, others.foresight_error, atol=1e-5)


def test_masked_words_say_nothing() -> None:
    torch.manual_seed(0)
    foresight = Foresight(16, 12, 24, 4)
    words_BTD, mask_BT = torch.randn(2, 6, 24), torch.ones(2, 6, dtype=torch.bool)
    mask_BT[:, 4:] = False
    other_BTD = words_BTD.clone()
    other_BTD[:, 4:] += 5
    assert torch.allclose(foresight(words_BTD, mask_BT), foresight(other_BTD, mask_BT), atol=1e-6)
    other_BTD[:, 3] += 5
    assert not torch.allclose(foresight(words_BTD, mask_BT), foresight(other_BTD, mask_BT), atol=1e-3)


def test_a_weight_of_zero_asks_nobody() -> None:
    model = Contrastive(ContrastiveConfig(size=16, width=8, n_levels=2, text=TEXT, foresight_weight=0.0))
    assert model.foresight is None
    assert float(model(*pairs()).foresight_error) == 0


@pytest.mark.slow
def test_words_learn_which_side_they_are_on() -> None:
    """`a left of b` and `a right of b`: which of the two nouns stands left is in neither word, nor in their order."""
    torch.manual_seed(0)
    config = TextEncoderConfig(vocab_size=12, context_length=4, d_model=32, n_layers=2, n_heads=4, d_shared=8)
    encoder, foresight = TextEncoder(config), Foresight(2, 10, 32, 4)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *foresight.parameters()], lr=3e-3)
    things_TC = torch.nn.functional.layer_norm(torch.randn(10, 10), (10,))

    def batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        first_B, second_B, is_right_B = (
            torch.randint(10, (count,)),
            torch.randint(10, (count,)),
            torch.rand(count) < 0.5,
        )
        tokens_BT = torch.stack([first_B, 10 + is_right_B.long(), second_B], dim=1)
        left_B, right_B = torch.where(is_right_B, second_B, first_B), torch.where(is_right_B, first_B, second_B)
        return tokens_BT, torch.stack([things_TC[left_B], things_TC[right_B]], dim=2)[:, :, None]  # B, C, 1, 2

    errors = []
    for _ in range(500):
        tokens_BT, map_BCYX = batch(64)
        mask_BT = torch.ones_like(tokens_BT, dtype=torch.bool)
        error = foresight_error(foresight(encoder(tokens_BT, mask_BT).words_BTD, mask_BT), map_BCYX)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[0] > 0.9
    assert sum(errors[-20:]) / 20 < 0.15  # the two of a pair alone, without their sides: 0.5


@pytest.mark.slow
def test_half_of_the_drawings_may_show_two() -> None:
    usual, half, none = (Creatures(16, 8, 0, share_of_pairs=share) for share in (1 / 6, 0.5, 0.0))
    shares = [sum(scene.other is not None for scene in one.scenes(0, 2000)) / 2000 for one in (usual, half, none)]
    assert shares == [pytest.approx(1 / 6, abs=0.03), pytest.approx(1 / 2, abs=0.04), 0]
    assert usual.hash == Creatures(16, 8, 0).hash != half.hash
    assert usual.held_out.captions == half.held_out.captions  # what runs are compared by stays


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan])
def test_shares_that_cannot_be(share: float) -> None:
    with pytest.raises(ConfigError, match="expected 0 to 1"):
        PicturesConfig(share_of_pairs=share)


def test_pictures_of_files_show_what_they_show() -> None:
    assert text("digits.gz").pictures.share_of_pairs == PicturesConfig().share_of_pairs < text().pictures.share_of_pairs


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_weights_that_cannot_be(weight: float) -> None:
    with pytest.raises(ConfigError, match="expected 0 or more"):
        ContrastiveConfig(foresight_weight=weight)
