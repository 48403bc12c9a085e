"""A path from noise to a picture: how much of each there is at every time, and how to read a prediction.

    x_t = alpha(t) picture + sigma(t) noise              t = 0: noise, t = 1: the picture
    velocity = dx_t/dt = alpha'(t) picture + sigma'(t) noise

    FlowPath   alpha = t, sigma = 1 - t: straight lines; the velocity, picture - noise, is predicted
               Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2023, arXiv:2209.03003
    DDPMPath   alpha = sin(pi t / 2), sigma = cos(pi t / 2): a quarter of a circle; the noise is predicted
               Ho et al. 2020, arXiv:2006.11239; cosine schedule: Nichol and Dhariwal 2021, arXiv:2102.09672

x_t and any one of picture, noise and velocity give the other two, so samplers need alpha and sigma alone. Nichol and
Dhariwal's small offset, made for steps that cannot be shorter than one, is left out: time is continuous here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.diffusion.config import PathConfig


@dataclass(frozen=True)
class Reading:
    """What a prediction says, in all three ways of saying it."""

    picture: Tensor
    noise: Tensor
    velocity: Tensor


def along(t: Float[Tensor, "*B"], x: Tensor) -> Tensor:
    """Return times in a shape that multiplies `x`: one for each of its rows, or one for all."""
    return t.view(-1, *[1] * (x.ndim - 1)) if t.ndim else t


class Path(ABC):
    """Shares of picture and noise at every time, their slopes, and what the model predicts."""

    first: ClassVar[float] = 0.0
    """Where sampling begins. Before it a prediction would say nothing of the picture."""

    @abstractmethod
    def alpha(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Return the share of the picture."""

    @abstractmethod
    def sigma(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Return the share of the noise."""

    @abstractmethod
    def slopes(self, t: Float[Tensor, "*B"]) -> tuple[Float[Tensor, "*B"], Float[Tensor, "*B"]]:
        """Return how fast the share of the picture and that of the noise change."""

    @abstractmethod
    def target(self, picture: Tensor, noise: Tensor, t: Float[Tensor, "*B"]) -> Tensor:
        """Return what the model is to predict at `t`."""

    @abstractmethod
    def read(self, prediction: Tensor, x: Tensor, t: Float[Tensor, "*B"]) -> Reading:
        """Return what the model's prediction for `x` at `t` says of picture, noise and velocity."""

    def noised(self, picture: Tensor, noise: Tensor, t: Float[Tensor, "*B"]) -> Tensor:
        """Return the picture as it is at `t`."""
        return along(self.alpha(t), picture) * picture + along(self.sigma(t), picture) * noise

    def velocity(self, picture: Tensor, noise: Tensor, t: Float[Tensor, "*B"]) -> Tensor:
        """Return how fast x moves at `t`."""
        to_picture, to_noise = self.slopes(t)
        return along(to_picture, picture) * picture + along(to_noise, picture) * noise

    def from_picture(self, picture: Tensor, x: Tensor, t: Float[Tensor, "*B"]) -> Reading:
        """Return the reading of a predicted picture; `t` is below 1, where no noise is left to be told."""
        noise = (x - along(self.alpha(t), x) * picture) / along(self.sigma(t), x)
        return Reading(picture, noise, self.velocity(picture, noise, t))

    def from_noise(self, noise: Tensor, x: Tensor, t: Float[Tensor, "*B"]) -> Reading:
        """Return the reading of a predicted noise; at `t` there is some picture to be told."""
        picture = (x - along(self.sigma(t), x) * noise) / along(self.alpha(t), x)
        return Reading(picture, noise, self.velocity(picture, noise, t))

    def from_velocity(self, velocity: Tensor, x: Tensor, t: Float[Tensor, "*B"]) -> Reading:
        """Return the reading of a predicted velocity: two linear equations for picture and noise."""
        alpha, sigma = along(self.alpha(t), x), along(self.sigma(t), x)
        to_picture, to_noise = (along(slope, x) for slope in self.slopes(t))
        determinant = to_picture * sigma - alpha * to_noise
        picture = (sigma * velocity - to_noise * x) / determinant
        noise = (to_picture * x - alpha * velocity) / determinant
        return Reading(picture, noise, velocity)


class FlowPath(Path):
    """A straight line from noise to picture; the model predicts the velocity."""

    def alpha(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Return t."""
        return t

    def sigma(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Return 1 - t."""
        return 1 - t

    def slopes(self, t: Float[Tensor, "*B"]) -> tuple[Float[Tensor, "*B"], Float[Tensor, "*B"]]:
        """Return 1 and -1."""
        return torch.ones_like(t), -torch.ones_like(t)

    def target(self, picture: Tensor, noise: Tensor, t: Float[Tensor, "*B"]) -> Tensor:
        """Return the velocity, the same at all times."""
        return picture - noise

    def read(self, prediction: Tensor, x: Tensor, t: Float[Tensor, "*B"]) -> Reading:
        """Return the reading of a velocity."""
        return self.from_velocity(prediction, x, t)


class DDPMPath(Path):
    """A quarter of a circle, so that x keeps its variance where the pictures' is 1; the model predicts the noise."""

    first: ClassVar[float] = 2 / math.pi * math.atan(math.exp(-5.1))
    """log(alpha / sigma) = -5.1. Earlier, the least error of the noise would be hundreds of times that of the picture
    (Lu et al. 2022, arXiv:2211.01095, clip the cosine schedule there too)."""

    def alpha(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Return sin(pi t / 2)."""
        return torch.sin(self._angle(t))

    def sigma(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Return cos(pi t / 2), as a sine, which ends at exactly 0."""
        return torch.sin(self._angle(1 - t))

    def slopes(self, t: Float[Tensor, "*B"]) -> tuple[Float[Tensor, "*B"], Float[Tensor, "*B"]]:
        """Return the derivatives of sine and cosine."""
        return math.pi / 2 * self.sigma(t), -math.pi / 2 * self.alpha(t)

    def target(self, picture: Tensor, noise: Tensor, t: Float[Tensor, "*B"]) -> Tensor:
        """Return the noise."""
        return noise

    def read(self, prediction: Tensor, x: Tensor, t: Float[Tensor, "*B"]) -> Reading:
        """Return the reading of a noise; before `first` as if it were `first`."""
        return self.from_noise(prediction, x, t.clamp(min=self.first))

    def _angle(self, t: Tensor) -> Tensor:
        return math.pi / 2 * t


def build_path(config: PathConfig) -> Path:
    """Return the path of this name."""
    return {"flow": FlowPath, "ddpm": DDPMPath}[config.path]()
