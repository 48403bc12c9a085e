"""Guidance as pictures: what is expected at every step is what the drawing itself heard there."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from cutaway.diffusion.config import PathConfig
from cutaway.diffusion.guidance import Parts
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.predictions import Expected, expected_pictures
from diffusion.painters import QUICK, latent_painter, word_painter


def heard_and_expected(painter: Painter, scale: float) -> tuple[list[Parts], Expected]:
    heard: list[Parts] = []
    paint(painter, ["a red cat"], dataclasses.replace(QUICK, guidance=scale, n=1), listen=heard.append)
    told, x_SCYX = painter.told(["a red cat"]), torch.cat([parts.x for parts in heard])
    return heard, expected_pictures(painter, told, x_SCYX, [parts.t for parts in heard], scale)


@pytest.mark.parametrize("painter", [word_painter(), word_painter(PathConfig(path="ddpm")), latent_painter()])
def test_it_is_what_the_drawing_heard(painter: Painter) -> None:
    heard, expected = heard_and_expected(painter, 1.5)
    for i, parts in enumerate(heard):
        t = torch.tensor(parts.t)
        for prediction, picture in (
            (parts.unconditional, expected.unconditional_SCYX[i : i + 1]),
            (parts.conditional, expected.conditional_SCYX[i : i + 1]),
            (parts.guided, expected.guided_SCYX[i : i + 1]),
        ):
            assert prediction is not None
            torch.testing.assert_close(painter.path.read(prediction, parts.x, t).picture, picture, rtol=1e-3, atol=1e-3)
    apart = (expected.conditional_SCYX - expected.unconditional_SCYX).abs().amax()
    assert apart > 1e-2, "the words say something"


def test_without_guidance_the_guided_one_is_the_conditional_one() -> None:
    heard, expected = heard_and_expected(word_painter(), 1.0)
    assert all(parts.unconditional is None for parts in heard)
    torch.testing.assert_close(expected.guided_SCYX, expected.conditional_SCYX)
