"""From noise to a picture in steps: the same model, three ways to follow the path.

    Euler         x' = alpha' picture + sigma' noise       go on as if the prediction were right (on the flow's straight
                  lines: x' = x + (t' - t) velocity; on the cosine path: DDIM, Song et al. 2021, arXiv:2010.02502)
    Heun          x' = x + (t' - t) (velocity + velocity at the end of Euler's step) / 2          error ~ step^2
    DPM-Solver++  x' = (sigma'/sigma) x + alpha' (1 - e^-h) (picture + (picture - picture before) / 2r), where
                  lambda = log(alpha / sigma), h = lambda' - lambda, r = (h of the step before) / h
                  Lu et al. 2022, arXiv:2211.01095, algorithm 2: error ~ step^2 with one call of the model a step

A prediction is read as picture, noise and velocity (`paths.py`). The last step, to t = 1, is Euler's: it returns the
predicted picture exactly, and no share of noise is divided by. Each sampler yields every step, so that one can scrub
through it. Equal to the schedulers of `diffusers` with the same times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.base.errors import ConfigError, suggest
from cutaway.diffusion.paths import Path, Reading

Predict = Callable[[Tensor, Tensor], Tensor]
"""The model's prediction for `x` at the times `t_B`; guidance is inside (`guidance.py`)."""

Mend = Callable[[Tensor, Tensor], Tensor]
"""Returns what to go on with in place of `x` at a time; inpainting puts the known pixels back so."""


@dataclass(frozen=True)
class Step:
    """One step, done."""

    t: float
    """The time it arrived at."""
    x: Tensor
    """What there is at that time."""
    picture: Tensor
    """The picture that the model expected, when the step began."""


def even_times(path: Path, steps: int, start: float = 0.0) -> Float[Tensor, " N"]:
    """Return the ends of so many equal steps from `start` (not before the path's first time) to 1."""
    return torch.linspace(max(start, path.first), 1, steps + 1, dtype=torch.float64)


class _Asked:
    """A model that is asked at one time for all rows; its answers come as readings."""

    def __init__(self, predict: Predict, path: Path) -> None:
        self.predict, self.path = predict, path

    def __call__(self, x: Tensor, t: Tensor) -> Reading:
        return self.path.read(self.predict(x, t.to(x).expand(len(x))), x, t.to(x))

    def euler(self, told: Reading, end: Tensor) -> Tensor:
        """Return where the path leads if what was told stays true."""
        return self.path.noised(told.picture, told.noise, end.to(told.picture))


def euler(
    predict: Predict, x: Tensor, path: Path, times: Float[Tensor, " N"], mend: Mend | None = None
) -> Iterator[Step]:
    """Yield every step of the first-order sampler."""
    ask = _Asked(predict, path)
    for t, end in pairwise(times):
        told = ask(x, t)
        x = ask.euler(told, end)
        x = mend(x, end) if mend else x
        yield Step(float(end), x, told.picture)


def heun(
    predict: Predict, x: Tensor, path: Path, times: Float[Tensor, " N"], mend: Mend | None = None
) -> Iterator[Step]:
    """Yield every step of the trapezoid rule, which asks twice a step."""
    ask = _Asked(predict, path)
    for t, end in pairwise(times):
        told = ask(x, t)
        guess = ask.euler(told, end)
        if path.sigma(end) > 0:
            x = x + float(end - t) / 2 * (told.velocity + ask(guess, end).velocity)
        else:
            x = guess
        x = mend(x, end) if mend else x
        yield Step(float(end), x, told.picture)


def dpm_solver(
    predict: Predict, x: Tensor, path: Path, times: Float[Tensor, " N"], mend: Mend | None = None
) -> Iterator[Step]:
    """Yield every step of DPM-Solver++ (2M), which remembers the picture expected before."""
    ask = _Asked(predict, path)
    alphas, sigmas = path.alpha(times), path.sigma(times)
    # Pure noise is at minus infinity, the picture at plus infinity; the arithmetic below holds there too.
    h = torch.diff(torch.log(alphas) - torch.log(sigmas))
    before: Tensor | None = None
    for i, (t, end) in enumerate(pairwise(times)):
        told = ask(x, t)
        if before is None or sigmas[i + 1] == 0:
            x = ask.euler(told, end)
        else:
            expected = told.picture + float(h[i] / h[i - 1]) / 2 * (told.picture - before)
            x = float(sigmas[i + 1] / sigmas[i]) * x - float(alphas[i + 1] * torch.expm1(-h[i])) * expected
        before = told.picture
        x = mend(x, end) if mend else x
        yield Step(float(end), x, told.picture)


SAMPLERS = {"euler": euler, "heun": heun, "dpm++": dpm_solver}


def draw(
    predict: Predict, noise: Tensor, path: Path, sampler: str, times: Float[Tensor, " N"], mend: Mend | None = None
) -> Iterator[Step]:
    """Yield every step of the sampler of this name.

    Args:
        noise: x at the first of `times`.
        times: the ends of the steps, rising, the first first (`even_times`).
        mend: changes x after each step.

    Raises:
        ConfigError: no sampler has this name, or the times do not rise.
    """
    if sampler not in SAMPLERS:
        raise ConfigError(f"no sampler {sampler!r}; expected one of {', '.join(SAMPLERS)}{suggest(sampler, SAMPLERS)}")
    if len(times) < 2 or not bool((times[1:] > times[:-1]).all()):
        raise ConfigError(f"the sampler's times must be two or more and rise; given: {times.tolist()}")
    return SAMPLERS[sampler](predict, noise, path, times, mend)
