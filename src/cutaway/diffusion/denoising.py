"""Denoising: the objective of everything that paints. Noise a picture, and predict what leads back.

    x_t  = alpha(t) picture + sigma(t) noise                (`paths.py`)
    loss = mean (model(x_t, t, condition) - target)^2       over pictures, channels and pixels; in training weighted, where
                                                            wished, by the picture's detail (`detail.py`)

Some conditions are dropped, so that one model learns to paint with and without, which guidance needs. Noise, time and
whether a condition is dropped depend on the seed and on the number of a picture in the endless stream alone. Held-out
pictures are measured with the same noise every time: at fixed times, where one sees which noise is hard, and at times
spread evenly over [0, 1), whose mean is the loss that runs are compared by. No loss of velocities compares with one of
noises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cutaway.base.objective import Probe, Sample, Validation
from cutaway.base.seed import torch_generator
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import PathConfig
from cutaway.diffusion.detail import detail_weight
from cutaway.diffusion.paths import build_path
from cutaway.diffusion.pictures import Pictures
from cutaway.diffusion.portions import portions
from cutaway.diffusion.times import even_numbers, spread

FIXED_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where the held-out loss is measured alone."""

HELD_OUT_SEED = 0
"""Of the noise on held-out pictures: the same in all runs, which then compare."""

MEASURED_AT_ONCE = 128


@runtime_checkable
class Conditioner(Protocol):
    """Turns what is known of pictures into what a denoiser reads (`text_conditioner.py` does so with words)."""

    def __call__(self, captions: list[str], label_B: Tensor) -> Condition:
        """Return a row a picture."""

    def nothing(self) -> Condition:
        """Return the one row that says nothing: no class, the empty prompt."""


class LabelConditioner:
    """Tells the model each picture's class.

    Args:
        n_labels: classes; this number itself stands for "no class".
    """

    def __init__(self, n_labels: int) -> None:
        self.n_labels = n_labels

    def __call__(self, captions: list[str], label_B: Tensor) -> Condition:
        """Return the labels."""
        return Condition(label_B=label_B)

    def nothing(self) -> Condition:
        """Return "no class"."""
        return Condition(label_B=torch.tensor([self.n_labels]))


class NoConditioner:
    """Tells the model nothing."""

    def __call__(self, captions: list[str], label_B: Tensor) -> Condition:
        """Return an empty condition."""
        return Condition()

    def nothing(self) -> Condition:
        """Return an empty condition."""
        return Condition()


@dataclass(frozen=True)
class NoisedBatch:
    """Pictures, and what is to be mixed into each."""

    picture_BCYX: Float[Tensor, "B C Y X"]
    noise_BCYX: Float[Tensor, "B C Y X"]
    t_B: Float[Tensor, " B"]
    captions: list[str]
    label_B: Int[Tensor, " B"]
    keep_B: Bool[Tensor, " B"]
    """False where the condition is dropped."""


class Denoising:
    """Predict, from a noised picture, what the path asks for.

    Args:
        seed: of noise, times and dropped conditions.
        show: makes the sample of a step.
    """

    def __init__(
        self,
        model: nn.Module,
        pictures: Pictures,
        config: PathConfig,
        seed: int,
        conditioner: Conditioner | None = None,
        show: Callable[[nn.Module, int], Sample] | None = None,
    ) -> None:
        self.model, self.pictures, self.config, self.seed = model, pictures, config, seed
        self.path = build_path(config)
        self.conditioner = conditioner or NoConditioner()
        self.show = show or (lambda model, step: Sample(""))

    @property
    def sequences_per_epoch(self) -> int:
        """How many pictures there are; of endless ones, more than any training draws."""
        return self.pictures.count or 2**40

    @property
    def tokens_per_sequence(self) -> int:
        """A sequence is a picture."""
        return 1

    @property
    def probe(self) -> Probe | None:
        """Nothing fixed is looked at."""
        return None

    def batch(self, first: int, count: int) -> NoisedBatch:
        """Return pictures first .. first+count-1 of the endless stream, and what each is noised with."""
        pictures = self.pictures.batch(first, count)
        noise_BCYX, chance_B = draw_noise(pictures.x_BCYX, self.seed, "noise", first)
        t_B = spread(even_numbers(first, count, self.seed), self.config)
        keep_B = chance_B >= self.config.drop_condition
        return NoisedBatch(pictures.x_BCYX, noise_BCYX, t_B, pictures.captions, pictures.label_B, keep_B)

    def loss(self, model: nn.Module, batch: NoisedBatch) -> Float[Tensor, ""]:
        """Return the mean squared error of the batch, more of it from where the pictures have detail, if so configured."""
        return self._errors(model, batch, self.config.detail_weight).mean()

    def validate(self, model: nn.Module, max_tokens: int | None = None) -> Validation:
        """Return the loss on held-out pictures at times spread evenly, and beside it at each of the fixed times.

        Args:
            max_tokens: about how many noised pictures the model is asked for, over all times.
        """
        held_out = self.pictures.held_out
        n = len(held_out.x_BCYX)
        if max_tokens:
            n = max(1, min(n, max_tokens // (1 + len(FIXED_TIMES))))
        x_BCYX = held_out.x_BCYX[:n]

        def measure(name: str, t_B: Tensor) -> float:
            noise_BCYX, _ = draw_noise(x_BCYX, HELD_OUT_SEED, name, 0)
            errors = []
            for rows in portions(n, MEASURED_AT_ONCE):
                label_B, captions = held_out.label_B[rows], held_out.captions[rows]
                keep_B = torch.ones(len(label_B), dtype=torch.bool)
                batch = NoisedBatch(x_BCYX[rows], noise_BCYX[rows], t_B[rows], captions, label_B, keep_B)
                errors.append(self._errors(model, batch))
            return float(torch.cat(errors).mean())

        fixed = {f"loss_t{t}": measure(f"t{t}", torch.full((n,), t)) for t in FIXED_TIMES}
        return Validation(measure("even", even_numbers(0, n, HELD_OUT_SEED)), None, n, fixed)

    def sample(self, model: nn.Module, step: int) -> Sample:
        """Return what the model paints now."""
        return self.show(model, step)

    def _errors(self, model: nn.Module, batch: NoisedBatch, of_detail: float = 0.0) -> Float[Tensor, " B"]:
        """Return the mean squared error of each picture, weighted by its detail if that is to count."""
        device = next(self.model.parameters()).device
        picture_BCYX, noise_BCYX, t_B, label_B, keep_B = (
            part.to(device, non_blocking=True)
            for part in (batch.picture_BCYX, batch.noise_BCYX, batch.t_B, batch.label_B, batch.keep_B)
        )
        condition = self.conditioner(batch.captions, label_B).where(keep_B, self._nothing(device))
        x_BCYX = self.path.noised(picture_BCYX, noise_BCYX, t_B)
        target_BCYX = self.path.target(picture_BCYX, noise_BCYX, t_B)
        predicted_BCYX = model(x_BCYX, t_B, condition)
        error_BCYX = F.mse_loss(predicted_BCYX.float(), target_BCYX, reduction="none")
        if of_detail:
            error_BCYX = error_BCYX * detail_weight(picture_BCYX, of_detail)
        return error_BCYX.mean(dim=(1, 2, 3))

    def _nothing(self, device: torch.device) -> Condition:
        parts = self.conditioner.nothing().parts
        return Condition(*(None if part is None else part.to(device) for part in parts))


def draw_noise(
    like_BCYX: Float[Tensor, "B C Y X"], seed: int, name: str, first: int
) -> tuple[Float[Tensor, "B C Y X"], Float[Tensor, " B"]]:
    """Return normal noise of this shape and a number in [0, 1) a row; row i is a function of first + i alone."""
    noise_BCYX, chance_B = torch.empty_like(like_BCYX), torch.empty(len(like_BCYX))
    for i in range(len(like_BCYX)):
        generator = torch_generator(seed, name, first + i)
        noise_BCYX[i] = torch.randn(like_BCYX.shape[1:], generator=generator)
        chance_B[i] = torch.rand((), generator=generator)
    return noise_BCYX, chance_B
