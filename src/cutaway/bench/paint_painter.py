"""A painter measured: right as asked, new, varied; with fewer steps, more or less guidance, and without the average."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from cutaway.bench.paint_asked import Say, asked_of, marks_of, pictures_of
from cutaway.bench.paint_distances import Distances, Reference, distances
from cutaway.bench.paint_ways import Trial, Way, with_calls, with_guidance
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.copying import Copying
from cutaway.diffusion.evaluate import PromptAccuracy, Share
from cutaway.diffusion.judge import Judge
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.picture_files import png_bytes, to_uint8
from cutaway.diffusion.pictures import Pictures

SEEN_BAR, HELD_OUT_BAR, KIND_BAR = 0.90, 0.75, 0.98
"""At least this share of pictures right: combinations seen, never seen, and the creature alone."""
N_EXAMPLES = 16
N_PAIRS = 8
BEST_OF = 4
"""Drafts of a picture, where the reader chooses."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    count: int = 256
    """Pictures of each set, and of each way to paint."""
    n_reference: int = 4096
    """Fresh drawings that FID is measured to."""
    n_training: int = 10_000
    """Training drawings looked through for copies; fewer where it was trained on fewer."""
    calls: tuple[int, ...] = (3, 7, 15, 31)
    """Of the model, a picture, of each sampler: odd numbers."""
    guidances: tuple[float, ...] = (1, 2, 4, 8)
    """Of a painter that is told something."""


@dataclass(frozen=True)
class Measured:
    """What was found of one painter."""

    sampling: PaintSamplingConfig
    """How it usually paints."""
    sets: dict[str, PromptAccuracy]
    """Of what was asked for, by set."""
    chosen: dict[str, Share]
    """Of pictures with everything right where each is the best of `BEST_OF` drafts, by set; none without a reader."""
    pictures: dict[str, UInt8[ndarray, "B Y X C"]]
    """Of each set, in the order of its marks."""
    distances: Distances
    copied: Copying
    neighbours: UInt8[ndarray, "B Y X C"]
    """Training drawings that are nearest to what was painted, those of the nearest pair first."""
    usual: Way
    unaveraged: Way | None
    """With the weights themselves in place of their average; None: there is no other."""
    by_calls: list[Way]
    """Every sampler with few and with many calls of the model."""
    by_guidance: list[Way]
    """With less and more guidance; none where nothing is asked."""

    @property
    def examples(self) -> dict[str, list[int]]:
        """Which pictures to show, by set: of each as many, the worst first; where nothing was asked, the first ones."""
        share = max(1, N_EXAMPLES // len(self.pictures))
        return {
            name: self.sets[name].examples(share) if name in self.sets else list(range(min(share, len(pictures))))
            for name, pictures in self.pictures.items()
        }

    def sheets(self) -> dict[str, bytes]:
        """Return PNG files: examples, and the pictures nearest to a training drawing, with it below."""
        shown = np.stack([self.pictures[name][i] for name, places in self.examples.items() for i in places])
        painted = next(iter(self.pictures.values()))[self.copied.nearest[: len(self.neighbours)]]
        return {
            "examples": png_bytes(shown, columns=4),
            "nearest": png_bytes(np.concatenate([painted, self.neighbours]), columns=len(painted)),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return every figure and mark as plain values."""
        return {
            "sampling": dataclasses.asdict(self.sampling),
            "prompts": {name: marks.as_dict() for name, marks in self.sets.items()},
            "chosen": {name: share.as_dict() for name, share in self.chosen.items()},
            "best_of": BEST_OF,
            "examples": self.examples,
            "distances": dataclasses.asdict(self.distances),
            "usual": self.usual.as_dict(),
            "unaveraged": self.unaveraged.as_dict() if self.unaveraged else None,
            "by_calls": [way.as_dict() for way in self.by_calls],
            "by_guidance": [way.as_dict() for way in self.by_guidance],
        }


def measure_painter(
    painter: Painter,
    sampling: PaintSamplingConfig,
    judge: Judge,
    compared: Reference,
    trained_on: Pictures,
    plan: Plan,
    unaveraged: Painter | None = None,
    seed: int = 0,
    say: Say = lambda line: None,
) -> Measured:
    """Paint what is asked in every way, and measure it.

    Args:
        compared: fresh drawings of the painter's size, as many as the plan paints.
        trained_on: the drawings that the painter learned from.
        unaveraged: the same painter with the weights themselves in place of their average.
    """
    asked = asked_of(painter, plan.count, seed)
    pictures, sets, chosen = {}, {}, {}
    for name, prompts in asked.items():
        say(f"asked for: {name}")
        pictures[name] = pictures_of(painter, prompts, sampling, seed, say)
        if marks := marks_of(painter, judge, pictures[name], prompts):
            sets[name] = marks
        if painter.reader is not None:
            say(f"asked for: {name}, the best of {BEST_OF}")
            best = pictures_of(painter, prompts, dataclasses.replace(sampling, best_of=BEST_OF), seed, say)
            if marks := marks_of(painter, judge, best, prompts):
                chosen[name] = marks.overall
    first = next(iter(asked))
    say("looking for copies")
    found, copied = distances(pictures[first], judge, compared, trained_on, plan.n_training, painter.vae)
    pairs = [copied.nearest_training[i] for i in copied.nearest[:N_PAIRS]]
    neighbours = np.concatenate([to_uint8(trained_on.batch(i, 1).x_BCYX) for i in pairs])
    trial = Trial(judge, compared, asked[first], seed, say)
    usual = trial.measured(painter, sampling, pictures[first], is_judged=False)
    scales = plan.guidances if sets else ()
    return Measured(
        sampling,
        sets,
        chosen,
        pictures,
        found,
        copied,
        neighbours,
        dataclasses.replace(usual, right=sets[first].overall if sets else None),
        trial.paint(unaveraged, sampling, is_judged=True) if unaveraged else None,
        [trial.paint(painter, way, is_judged=False) for way in with_calls(sampling, plan.calls)],
        [trial.paint(painter, way, is_judged=True) for way in with_guidance(sampling, scales)],
    )
