"""Between two prompts, noises and latents: the ends are the two, the middle is neither, noise keeps its length."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from cutaway.base.errors import UsageError
from cutaway.diffusion.between import (
    between_latents,
    between_noises,
    between_prompts,
    blend,
    slerp,
    with_word_changed,
)
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.paint import paint
from diffusion.painters import QUICK, label_painter, latent_painter, word_painter

SHARES = [0.0, 0.25, 0.5, 1.0]


def noise(seed: int) -> torch.Tensor:
    return torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(seed))


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((np.abs(a.astype(int) - b.astype(int)) <= 1).all())


def test_slerp_has_its_ends_and_keeps_the_length() -> None:
    a, b = noise(0), noise(1)
    torch.testing.assert_close(slerp(a, b, 0.0), a)
    torch.testing.assert_close(slerp(a, b, 1.0), b)
    torch.testing.assert_close(slerp(a, a, 0.3), a)
    a, b = a / a.norm(), b / b.norm()
    for share in (0.2, 0.5, 0.9):
        between = slerp(a, b, share)
        torch.testing.assert_close(between.norm(), torch.tensor(1.0))
        angle = torch.acos((a * b).sum())
        torch.testing.assert_close(torch.acos((a * between).sum()), share * angle)


def test_blended_words() -> None:
    a = Condition(
        words_BTD=torch.ones(1, 3, 2), mask_BT=torch.tensor([[True, True, False]]), pooled_BE=torch.ones(1, 4)
    )
    b = Condition(
        words_BTD=-torch.ones(1, 3, 2), mask_BT=torch.tensor([[True, False, False]]), pooled_BE=torch.zeros(1, 4)
    )
    assert blend(a, b, 0) is a
    assert blend(a, b, 1) is b
    quarter = blend(a, b, 0.25)
    assert quarter.words_BTD is not None
    assert quarter.mask_BT is not None
    assert quarter.words_BTD[0, :2, 0].tolist() == [0.5, 1.0]
    assert quarter.mask_BT.tolist() == [[True, True, False]]
    assert torch.equal(quarter.pooled_BE, torch.full((1, 4), 0.75))
    with pytest.raises(UsageError, match="labels have nothing between"):
        blend(Condition(label_B=torch.tensor([0])), Condition(label_B=torch.tensor([1])), 0.5)


def test_between_prompts_ends_at_both() -> None:
    painter = word_painter()
    made = between_prompts(painter, "a red cat", "a tiny blue owl", SHARES, QUICK)
    assert made.seeds == (5,) * 4
    for place, prompt in ((0, "a red cat"), (-1, "a tiny blue owl")):
        assert close(made.pictures[place], paint(painter, [prompt], QUICK, seeds=[5]).pictures[0])
    assert not close(made.pictures[1], made.pictures[0])
    assert not close(made.pictures[2], made.pictures[-1])
    with pytest.raises(UsageError, match="labels"):
        between_prompts(label_painter(), "cat", "dog", [0.5], QUICK)


@pytest.mark.parametrize("painter", [word_painter(), label_painter()])
def test_between_noises_ends_at_both(painter) -> None:
    asked = "a red cat" if painter.text else 1
    made = between_noises(painter, asked, 3, 11, SHARES, QUICK)
    ends = paint(painter, [asked], dataclasses.replace(QUICK), seeds=[3, 11]).pictures
    assert close(made.pictures[0], ends[0])
    assert close(made.pictures[-1], ends[1])
    assert not close(made.pictures[2], ends[0])


def test_a_walk_through_latents() -> None:
    painter = latent_painter()
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    walk = between_latents(painter, pictures[0], pictures[1], SHARES)
    assert walk.shape == (4, 16, 16, 3)
    both = painter.to_pictures(painter.from_pictures(pictures))
    assert close(walk[0], both[0])
    assert close(walk[-1], both[1])
    with pytest.raises(UsageError, match="no latents"):
        between_latents(word_painter(), pictures[0], pictures[1], SHARES)


def test_one_word_changed() -> None:
    assert with_word_changed("a red  cat", 1, "blue") == "a blue cat"
    with pytest.raises(UsageError, match="there is no word number 4"):
        with_word_changed("a red cat", 3, "hat")
