"""The best of several drafts is the one the reader finds most like its words, and is then painted as its seed says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cutaway.base.errors import ConfigError, UsageError
from cutaway.diffusion.choose import STRIDE, best_seeds, drafts, likeness
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.picture_files import from_uint8
from diffusion.painters import QUICK, label_painter, latent_painter, word_painter

PROMPT = "a red cat"
CONFIG = dataclasses.replace(QUICK, n=3, best_of=5)
ROUGH = dataclasses.replace(QUICK, sampler="dpm++", n=1)


def by_hand(painter: Painter, picture_YXC: np.ndarray, prompt: str) -> float:
    """Return the cosine between a picture, made small and looked at nine times, and its words, without any of our ways."""
    assert painter.reader is not None
    assert painter.text is not None
    x = from_uint8(picture_YXC[None])
    with torch.no_grad():
        small = F.avg_pool2d(x, x.shape[-1] // 8)
        n = small.shape[-1]
        seen = torch.zeros(())
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                rows, columns = (torch.arange(n) + down).clamp(0, n - 1), (torch.arange(n) + right).clamp(0, n - 1)
                glance = painter.reader(small[:, :, rows][..., columns])[0][0]
                seen = seen + glance / glance.norm()
        read = painter.text.encoder(*painter.text.tokenizer.encode([prompt]))[2][0]
    return float(seen @ read / seen.norm() / read.norm())


@pytest.mark.parametrize("make", [word_painter, latent_painter])
@pytest.mark.slow
def test_the_best_is_what_a_search_by_hand_finds(make: Callable[[], Painter]) -> None:
    painter = make()
    told: list[int] = []
    painted = paint(painter, [PROMPT], CONFIG, on_draft=lambda number, step: told.append(number))
    assert told == [1, 2, 3]
    expected = []
    for first in (5, 6, 7):
        tried = [first + STRIDE * i for i in range(5)]
        marks = [by_hand(painter, paint(painter, [PROMPT], ROUGH, [seed]).pictures[0], PROMPT) for seed in tried]
        assert max(marks) - sorted(marks)[-2] > 1e-4, "two are alike: the test says nothing"
        expected.append(tried[int(np.argmax(marks))])
    assert painted.seeds == tuple(expected)
    assert painted.seeds != (5, 6, 7), "always the first: the test says nothing"
    again = paint(painter, [PROMPT], QUICK, painted.seeds)
    assert np.array_equal(painted.pictures, again.pictures), "it is the picture of its seed"
    assert painted.asked == (PROMPT,) * 3


def test_every_picture_has_its_own_words() -> None:
    painter, asked = word_painter(), ["a red cat", "two dogs on a beach"]
    both = paint(painter, asked, CONFIG, [5, 6]).seeds
    assert both == tuple(
        paint(painter, [one], CONFIG, [seed]).seeds[0] for one, seed in zip(asked, (5, 6), strict=True)
    )


def test_drafts_of_a_grid_have_no_seed_in_common() -> None:
    config = PaintSamplingConfig(n=1000, best_of=3)
    prompts, quick, seeds = drafts([PROMPT] * 1000, config, range(7, 1007))
    assert len(set(seeds)) == len(prompts) == len(seeds) == 3000
    assert seeds[:4] == [7, 1007, 2007, 8]
    assert (quick.best_of, quick.sampler, quick.steps) == (1, "dpm++", 12)
    assert drafts([PROMPT], dataclasses.replace(config, steps=4), [7])[1].steps == 4


def test_the_one_most_alike_is_taken() -> None:
    painter = word_painter()
    pictures = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), np.uint8)
    like = likeness(painter, pictures, [PROMPT] * 6)
    assert [round(float(one), 5) for one in like] == [round(by_hand(painter, one, PROMPT), 5) for one in pictures]
    found = best_seeds(painter, pictures, [PROMPT] * 6, [10, 11, 12, 20, 21, 22], 3)
    assert found == [10 + int(like[:3].argmax()), 20 + int(like[3:].argmax())]


def test_who_cannot_choose_says_so() -> None:
    without = dataclasses.replace(word_painter(), reader=None)
    for painter, asked in ((without, PROMPT), (label_painter(), "cat")):
        with pytest.raises(UsageError, match="no reader to choose drafts by"):
            paint(painter, [asked], CONFIG)
        assert len(paint(painter, [asked], QUICK).pictures) == 2
    for count in (0, 65):
        with pytest.raises(ConfigError, match=f"best_of is {count}; expected 1"):
            PaintSamplingConfig(best_of=count)
    with pytest.raises(UsageError, match="not one word"):
        paint(word_painter(), ["zebra"], CONFIG)
