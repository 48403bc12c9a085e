"""Guidance as pictures: the last guided one is the picture painted; without guidance there is only one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cutaway.diffusion.config import PathConfig
from cutaway.diffusion.guidance import Parts
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.predictions import expected_pictures
from diffusion.painters import QUICK, latent_painter, word_painter


@pytest.mark.parametrize("painter", [word_painter(), word_painter(PathConfig(path="ddpm")), latent_painter()])
def test_the_last_guided_one_is_the_picture(painter: Painter) -> None:
    heard: list[Parts] = []
    painted = paint(painter, ["a red cat"], QUICK, listen=heard.append)
    expected = [expected_pictures(painter, parts) for parts in heard]
    assert [one.t for one in expected] == sorted(one.t for one in expected)
    assert np.array_equal(expected[-1].guided, painted.pictures)
    assert expected[-1].unconditional is not None


def test_guided_lies_beyond_the_conditional_one() -> None:
    heard: list[Parts] = []
    painter = word_painter()
    paint(painter, ["a red cat"], dataclasses.replace(QUICK, guidance=1.5), listen=heard.append)
    one = expected_pictures(painter, heard[0])
    assert one.unconditional is not None
    without, with_words, guided = (part.astype(float) for part in (one.unconditional, one.conditional, one.guided))
    whole = (without + 1.5 * (with_words - without)).clip(0, 255)
    inside = (np.minimum(without, with_words) > 0) & (np.maximum(without, with_words) < 255)
    assert inside.mean() > 0.1
    assert np.abs(whole - guided)[inside].max() <= 2


def test_without_guidance_nobody_is_asked_twice() -> None:
    heard: list[Parts] = []
    painter = word_painter()
    paint(painter, ["a red cat"], dataclasses.replace(QUICK, guidance=1.0), listen=heard.append)
    one = expected_pictures(painter, heard[0])
    assert one.unconditional is None
    assert np.array_equal(one.guided, one.conditional)
