"""`cutaway bench paint`: a diffusion transformer beside diffusers', training and drawing.

The same weights, pictures, noise, times and labels on both sides, in one process, in turn. Theirs is
`DiTTransformer2DModel` in a plain loop with `torch.optim.AdamW`; for drawing, the loop of `DiTPipeline` (two halves of one
batch for guidance, a scheduler's step) without VAE and safety checker. Ours are the model, optimizer and sampler that
`cutaway paint` uses, asked as often. Losses and pictures of both sides are compared. "defaults" is each side as it comes:
theirs in float32 with GELU in its tanh form, ours in bfloat16 where the processor has units for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cutaway.base.memory import keep_freed_memory
from cutaway.base.seed import torch_generator
from cutaway.bench.alternate import Race, alternate
from cutaway.bench.facts import Fact
from cutaway.bench.paint_sides import CPU, GUIDANCE, models, noised_batch, our_stepper, pipeline, their_stepper
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import DiTConfig, PathConfig
from cutaway.diffusion.guidance import Guided
from cutaway.diffusion.paths import build_path
from cutaway.diffusion.quick_products import has_quick_bfloat16
from cutaway.diffusion.sampler import draw, even_times
from cutaway.train.trainer import autocast

SHAPE = DiTConfig(n_labels=10)
BATCH = 64
N_LOSSES = 20


@dataclass(frozen=True)
class Case:
    """One race."""

    what: str
    precisions: tuple[str, str]
    """Ours ("auto": the quickest here), theirs."""
    bar: float | None = None
    activation: str = "gelu"
    """Theirs; "gelu" is what our weights mean."""


TRAINING = (
    Case("training step, float32", ("float32", "float32"), 1.2),
    Case("training step, bfloat16", ("bfloat16", "bfloat16"), 1.2),
    Case("training step, defaults", ("auto", "float32"), None, "gelu-approximate"),
)
DRAWING = (
    Case("drawing {n}, float32", ("float32", "float32"), 1.5),
    Case("drawing {n}, bfloat16", ("bfloat16", "bfloat16"), 1.5),
    Case("drawing {n}, defaults", ("auto", "float32"), 1.5, "gelu-approximate"),
)


def run_paint_bench(
    is_quick: bool = False, say: Callable[[str], None] = lambda line: None
) -> tuple[list[Race], list[Fact]]:
    """Race training and drawing on the current number of threads.

    Args:
        is_quick: three rounds, and drawings of eight pictures only.

    Raises:
        UsageError: `diffusers` is not installed.
    """
    keep_freed_memory()  # for both sides
    races: list[Race] = []
    facts: list[Fact] = []
    for case in TRAINING:
        say(case.what)
        race, more = train_case(case, 3 if is_quick else N_LOSSES)
        races.append(race)
        facts += more
    for n_pictures in (8,) if is_quick else (8, 1):
        for case in DRAWING:
            say(case.what.format(n=n_pictures))
            race, more = draw_case(case, n_pictures, 10 if is_quick else 30, 3 if is_quick else 5)
            races.append(race)
            facts += more
    return races, facts


def train_case(case: Case, rounds: int, shape: DiTConfig = SHAPE, batch_size: int = BATCH) -> tuple[Race, list[Fact]]:
    """Race a step; return the race and, where both compute the same in float32, how far their losses are apart."""
    mine, their = (resolved(precision) for precision in case.precisions)
    ours, theirs = models(shape, case.activation)
    batch = noised_batch(shape, batch_size)
    losses: tuple[list[float], list[float]] = ([], [])
    turns = [
        lambda: timed(lambda: losses[0].append(our_step())),
        lambda: timed(lambda: losses[1].append(their_step())),
    ]
    our_step, their_step = our_stepper(ours, batch, mine), their_stepper(theirs, batch, their)
    race = alternate(named(case.what, mine, case), turns[0], turns[1], rounds, case.bar)
    if mine != their:
        return race, []
    apart = max(abs(a - b) / b for a, b in zip(*losses, strict=True))
    bar = 100 if mine == "float32" else None
    return race, [Fact(f"{case.what}: losses, largest difference, millionths", 1e6 * apart, "", bar)]


def draw_case(
    case: Case, n_pictures: int, steps: int, rounds: int, shape: DiTConfig = SHAPE
) -> tuple[Race, list[Fact]]:
    """Race a drawing; return the race and how far the pictures are apart."""
    mine, their = (resolved(precision) for precision in case.precisions)
    ours, theirs = (model.eval().requires_grad_(False) for model in models(shape, case.activation))
    noise_BCYX = torch.randn(n_pictures, shape.channels, shape.size, shape.size, generator=torch_generator(0, "noise"))
    label_B = torch.arange(n_pictures) % shape.n_labels
    pictures: dict[str, Tensor] = {}

    @torch.no_grad()
    def our_turn() -> None:
        with autocast(mine, CPU):
            guided = Guided(ours, Condition(label_B), Condition(torch.tensor([shape.n_labels])), GUIDANCE)
            path = build_path(PathConfig())
            *_, last = draw(guided, noise_BCYX, path, "euler", even_times(path, steps))
        pictures["ours"] = last.x.clamp(-1, 1)

    @torch.no_grad()
    def their_turn() -> None:
        with autocast(their, CPU):
            pictures["theirs"] = pipeline(theirs, noise_BCYX, label_B, steps).clamp(-1, 1)

    what = named(case.what.format(n=n_pictures), mine, case) + f", {steps} steps"
    race = alternate(what, lambda: timed(our_turn), lambda: timed(their_turn), rounds, case.bar)
    apart = (pictures["ours"] - pictures["theirs"]).abs() * 127.5
    bar = 0.1 if mine == their == "float32" else None
    facts = [Fact(f"{what}: largest difference of a pixel, of 255", float(apart.max()), "", bar)]
    return race, [*facts, Fact(f"{what}: mean difference of a pixel, of 255", float(apart.mean()), "", bar)]


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def resolved(precision: str) -> str:
    """Return the precision; for "auto" the one that drawing takes here, and training where its trial finds the same."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_quick_bfloat16(CPU) else "float32"


def named(what: str, mine: str, case: Case) -> str:
    """Return the name of a race, with the precision that "auto" turned out to be."""
    return f"{what} ({mine} beside {case.precisions[1]})" if case.precisions[0] == "auto" else what
