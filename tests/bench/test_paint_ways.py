"""Samplers are compared at equal calls of the model, counted."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from cutaway.bench.paint_ways import QUICK_STEPS, Way, calls_of, with_calls, with_guidance
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.evaluate import Share
from cutaway.diffusion.paint import paint
from cutaway.diffusion.sampler import SAMPLERS
from diffusion.painters import plain_painter

USUAL = PaintSamplingConfig(steps=9, sampler="heun", guidance=1, n=1, precision="float32")


class Counted(nn.Module):
    """A model that counts how often it is asked."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config, self.calls = model, model.config, 0

    def forward(self, *arguments: Any) -> torch.Tensor:
        self.calls += 1
        return self.model(*arguments)


@pytest.mark.parametrize("way", with_calls(USUAL, (3, 7)), ids=lambda way: f"{way.sampler}-{way.steps}")
def test_calls_are_what_the_model_counts(way: PaintSamplingConfig) -> None:
    plain = plain_painter()
    counted = Counted(plain.denoiser)
    paint(dataclasses.replace(plain, denoiser=counted), [""], way)
    assert counted.calls == calls_of(way.sampler, way.steps)


def test_every_sampler_has_as_many_calls() -> None:
    ways = with_calls(USUAL, (3, 7, 15))
    assert [calls_of(way.sampler, way.steps) for way in ways] == [3] * 3 + [7] * 3 + [15] * 3
    assert {way.sampler for way in ways} == set(SAMPLERS)
    assert {way.guidance for way in ways} == {USUAL.guidance}


def test_guidance_alone_is_changed() -> None:
    usual = dataclasses.replace(USUAL, guidance_from=0.2, negative="a dog")
    ways = with_guidance(usual, (1, 4))
    assert [way.guidance for way in ways] == [1, 4]
    assert {(way.sampler, way.steps, way.guidance_from, way.negative) for way in ways} == {
        ("dpm++", QUICK_STEPS, 0, "a dog")
    }


def test_as_plain_values() -> None:
    told = Way("heun", 4, 2.0, 1.5, 0.5, Share(3, 4)).as_dict()
    assert (told["calls"], told["right"]["share"]) == (7, 0.75)
    assert Way("euler", 4, 1.0, 1.5, 0.5).as_dict()["right"] is None
