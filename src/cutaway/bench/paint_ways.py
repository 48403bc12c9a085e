"""The same painter asked the same in other ways: fewer steps, another sampler, more guidance, without the average.

Samplers are compared at equal calls of the model, which is what takes the time: Heun's rule asks twice a step and once in
its last, so n steps are 2n - 1 calls. With guidance every call is of twice as many rows, in all of them alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import UInt8
from numpy import ndarray

from cutaway.bench.paint_asked import Say, marks_of, pictures_of
from cutaway.bench.paint_distances import Reference
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.evaluate import Share
from cutaway.diffusion.fid import diversity, fid
from cutaway.diffusion.judge import Judge
from cutaway.diffusion.painter import Painter

Sampler = Literal["euler", "heun", "dpm++"]
NAMES: tuple[Sampler, ...] = ("euler", "heun", "dpm++")
QUICK_STEPS = 15
"""Of DPM-Solver++, where scales of guidance are compared."""


@dataclass(frozen=True)
class Way:
    """A way to paint and what came of it."""

    sampler: str
    steps: int
    guidance: float
    fid: float
    """Of the judge's features, to fresh drawings."""
    diversity: float
    """Mean distance between two, in the same features."""
    right: Share | None = None
    """Of pictures with all that was asked; None: not looked at."""

    @property
    def calls(self) -> int:
        """How often the model is asked for a picture."""
        return calls_of(self.sampler, self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return dataclasses.asdict(self) | {
            "calls": self.calls,
            "right": None if self.right is None else self.right.as_dict(),
        }


def calls_of(sampler: str, steps: int) -> int:
    """Return how often a sampler asks the model in so many steps."""
    return 2 * steps - 1 if sampler == "heun" else steps


def with_calls(usual: PaintSamplingConfig, calls: Sequence[int]) -> list[PaintSamplingConfig]:
    """Return every sampler with so many calls of the model.

    Args:
        calls: odd numbers, which all samplers can make.
    """
    return [
        dataclasses.replace(usual, sampler=name, steps=(n + 1) // 2 if name == "heun" else n)
        for n in calls
        for name in NAMES
    ]


def with_guidance(usual: PaintSamplingConfig, scales: Sequence[float]) -> list[PaintSamplingConfig]:
    """Return a quick way to paint with each scale of guidance."""
    return [
        dataclasses.replace(usual, sampler="dpm++", steps=QUICK_STEPS, guidance=scale, guidance_from=0, guidance_to=1)
        for scale in scales
    ]


@dataclass(frozen=True)
class Trial:
    """What all ways of one painter have in common."""

    judge: Judge
    compared: Reference
    asked: Sequence[str]
    seed: int
    say: Say

    def paint(self, painter: Painter, sampling: PaintSamplingConfig, is_judged: bool) -> Way:
        """Paint in one way and measure it."""
        self.say(f"{sampling.sampler}, {sampling.steps} steps, guidance {sampling.guidance:g}")
        pictures = pictures_of(painter, self.asked, sampling, self.seed, self.say)
        return self.measured(painter, sampling, pictures, is_judged)

    def measured(
        self, painter: Painter, sampling: PaintSamplingConfig, pictures: UInt8[ndarray, "B Y X C"], is_judged: bool
    ) -> Way:
        """Measure what was painted in one way."""
        features_BF = self.judge.features(pictures)
        marks = marks_of(painter, self.judge, pictures, self.asked) if is_judged else None
        return Way(
            sampling.sampler,
            sampling.steps,
            sampling.guidance,
            fid(features_BF, self.compared.features_NF),
            diversity(features_BF),
            marks.overall if marks else None,
        )
