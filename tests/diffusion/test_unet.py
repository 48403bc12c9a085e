"""The U-Net: shapes, what the untrained model says, which numbers depend on which, words and labels, taps, a count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cutaway.base.errors import ConfigError, ShapeError
from cutaway.base.tap import listening
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import UNetConfig
from cutaway.diffusion.unet import UNet
from cutaway.diffusion.unet_block import PlaceNorm, ResidualBlock

B, C = 3, 2
SMALL = {"size": 16, "channels": C, "width": 8, "multipliers": (1, 2, 3), "attention_from": 8, "n_heads": 4}


def make(**settings: Any) -> UNet:
    """Return a model in which nothing is zero any more."""
    torch.manual_seed(0)
    model = UNet(UNetConfig(**{**SMALL, **settings})).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def given(size: int = 16) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(B, C, size, size, generator=random, dtype=torch.float64)
    return x, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)


def words(seed: int = 2) -> Condition:
    random = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[True, True, False], [True, True, True], [True, False, False]])
    return Condition(words_BTD=torch.randn(B, 3, 5, generator=random, dtype=torch.float64), mask_BT=mask)


@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("n_blocks", [1, 2])
@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 2, 3)])
def test_out_comes_what_went_in_and_all_of_it_learns(patch: int, n_blocks: int, multipliers: tuple[int, ...]) -> None:
    model = make(patch=patch, n_blocks=n_blocks, multipliers=multipliers, n_labels=4)
    x, t = given()
    out = model(x, t, Condition(label_B=torch.tensor([0, 1, 4])))
    assert out.shape == x.shape
    out.square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # of a k_proj's offset softmax knows nothing, but it stands in one tensor with those of q and v
    assert not idle, f"no gradient reaches {idle}"


def test_the_untrained_model_says_zero_and_its_blocks_nothing() -> None:
    model = UNet(UNetConfig(**{**SMALL, "d_words": 5}))
    x, t = (part.float() for part in given())
    told = Condition(words_BTD=torch.randn(B, 3, 5))
    assert torch.equal(model(x, t, told), torch.zeros_like(x))
    h = torch.randn(B, 8, 16, 16)
    assert torch.equal(model.down[0](h, model.steering(t, Condition()), told), h)


def test_a_residual_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(6, 4, 5, dropout=0.0).double()
    x, steering = torch.randn(B, 6, 7, 5).double(), torch.randn(B, 5).double()
    normalised = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5)
    y = block.in_conv(normalised * torch.sigmoid(normalised))
    y = (y - y.mean(1, keepdim=True)) / torch.sqrt(y.var(1, keepdim=True, unbiased=False) + 1e-5)
    both = steering @ block.time_proj.weight.T + block.time_proj.bias
    y = y * (1 + both[:, :4, None, None]) + both[:, 4:, None, None]
    expected = block.skip(x) + block.out_conv(y * torch.sigmoid(y))
    torch.testing.assert_close(block(x, steering), expected, rtol=1e-10, atol=1e-12)


def test_the_norm_keeps_each_place_to_itself() -> None:
    norm, x = PlaceNorm(6), torch.randn(B, 6, 4, 5)
    changed = x.clone()
    changed[0, :, 1, 2] += torch.randn(6)
    differs = (norm(x) != norm(changed)).any(dim=1)
    assert differs.sum() == 1
    assert differs[0, 1, 2]


def test_pictures_of_a_batch_do_not_meet() -> None:
    model, (x, t) = make(d_words=5), given()
    together = model(x, t, words())
    for b in range(B):
        alone = Condition(words_BTD=words().words_BTD[b : b + 1], mask_BT=words().mask_BT[b : b + 1])
        torch.testing.assert_close(model(x[b : b + 1], t[b : b + 1], alone), together[b : b + 1])


def test_every_place_sees_all_of_the_picture() -> None:
    model, (x, t) = make(), given()
    changed = x.clone()
    changed[:, :, 0, 0] += 1
    assert ((model(x, t) - model(changed, t)).abs() > 0).all()


def test_bridges_carry_what_the_way_down_wrote() -> None:
    """With nothing coming up from the coarse levels, all that is known of the picture came across."""
    model, (x, t) = make(multipliers=(1, 2)), given()
    for parameter in model.grow.parameters():
        torch.nn.init.zeros_(parameter)
    assert not torch.allclose(model(x, t), model(x + 1, t))


def test_time_and_label_matter_and_no_label_is_one_more() -> None:
    model, (x, t) = make(n_labels=3), given()
    assert not torch.allclose(model(x, t), model(x, t + 0.05))
    told = model(x, t, Condition(label_B=torch.tensor([0, 1, 2])))
    untold = model(x, t, Condition(label_B=torch.tensor([3, 3, 3])))
    assert not torch.allclose(told, untold)
    assert torch.equal(untold, model(x, t))


def test_words_are_read_but_for_those_the_mask_hides() -> None:
    model, (x, t), told = make(d_words=5), given(), words()
    out = model(x, t, told)
    assert told.words_BTD is not None
    hidden = told.words_BTD.clone()
    hidden[0, 2] += 1
    assert torch.equal(model(x, t, Condition(words_BTD=hidden, mask_BT=told.mask_BT)), out)
    seen = told.words_BTD.clone()
    seen[0, 1] += 1
    differs = (model(x, t, Condition(words_BTD=seen, mask_BT=told.mask_BT)) != out).flatten(1).any(1)
    assert differs.tolist() == [True, False, False]
    nothing = Condition(words_BTD=told.words_BTD, mask_BT=torch.zeros_like(told.mask_BT))
    torch.testing.assert_close(model(x, t, nothing), model(x, t))


def test_who_listens_hears_what_is_inside_and_changes_nothing() -> None:
    model, (x, t) = make(d_words=5, multipliers=(1, 2), patch=2), given()
    heard: dict[str, list[tuple[int, ...]]] = {}

    def listener(name: str, value: Tensor) -> None:
        heard.setdefault(name, []).append(tuple(value.shape))

    with torch.no_grad():
        quiet = model(x, t, words())
        with listening(listener):
            loud = model(x, t, words())
    torch.testing.assert_close(loud, quiet)
    assert heard["in_BCYX"] == [(B, 8, 8, 8)]
    assert heard["steering_BE"] == [(B, 32)]
    # down 8 x 8 and 4 x 4, twice in the middle, up again; all but one look at places and words
    assert heard["out_BCYX"] == [(B, 8, 8, 8), (B, 16, 4, 4), (B, 16, 4, 4), (B, 16, 4, 4), (B, 16, 4, 4), (B, 8, 8, 8)]
    assert heard["pattern_BHTS"] == [(B, 4, 64, 64), *[(B, 4, 16, 16)] * 3, (B, 4, 64, 64)]
    assert heard["cross.weights_BHPT"] == [(B, 4, 64, 3), *[(B, 4, 16, 3)] * 3, (B, 4, 64, 3)]


def test_with_patches_neighbours_are_channels() -> None:
    """A model of patches is the plain model of the rearranged picture."""
    patches, (x, t) = make(patch=2, multipliers=(1, 2)), given()
    plain = make(channels=4 * C, size=8, multipliers=(1, 2))
    plain.load_state_dict(patches.state_dict())
    rearranged = x.view(B, C, 8, 2, 8, 2).permute(0, 1, 3, 5, 2, 4).reshape(B, 4 * C, 8, 8)
    out = plain(rearranged, t).view(B, C, 2, 2, 8, 8).permute(0, 1, 4, 2, 5, 3).reshape(x.shape)
    torch.testing.assert_close(patches(x, t), out)


def test_bfloat16_is_near() -> None:
    model = make(d_words=5).float()
    x, t = (part.float() for part in given())
    told = Condition(words_BTD=words().words_BTD.float(), mask_BT=words().mask_BT)
    with torch.no_grad():
        exact = model(x, t, told)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            near = model(x, t, told).float()
    assert (near - exact).norm() < 0.05 * exact.norm()


def test_dropout_only_while_training() -> None:
    model, (x, t) = make(dropout=0.3), given()
    assert torch.equal(model(x, t), model(x, t))
    model.train()
    assert not torch.equal(model(x, t), model(x, t))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 28, "multipliers": (1, 2, 2, 2)}, "cannot be halved 3 times"),
        ({"size": 28, "patch": 8}, "in patches of 8"),
        ({"size": 16, "width": 10}, "does not divide the channels"),
        ({"d_words": 5, "attention_from": 0}, "words are read with attention"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        UNetConfig(**{**SMALL, **settings})


def test_wrong_sizes_are_said() -> None:
    model, (x, t) = make(d_words=5), given()
    with pytest.raises(ShapeError, match=r"shape \(2, 8, 8\) were given; the model paints \(2, 16, 16\)"):
        model(x[:, :, :8, :8], t)
    with pytest.raises(ShapeError, match="words of width 4"):
        model(x, t, Condition(words_BTD=torch.zeros(B, 3, 4).double()))
