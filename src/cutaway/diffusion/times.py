"""Which times are trained, and how often.

    uniform        t = u                                   all alike
    logit-normal   t = 1 / (1 + exp(-z)), z = mean + deviation normal(u)      some more often (Esser et al. 2024,
                   arXiv:2403.03206)

The u are no independent throws: u_i = (start + i / golden ratio) mod 1, Weyl's sequence, fills [0, 1) so evenly that any
batch has about as many early times as late ones, which takes noise from the gradient. u_i depends on the seed and on
i, the position in the endless stream of training pictures, alone; so a run that is resumed goes on exactly.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.base.seed import numpy_generator
from cutaway.diffusion.config import PathConfig

GOLDEN = (math.sqrt(5) - 1) / 2
"""1 / golden ratio: the number that fractions come least near to, so the sequence never bunches."""


def even_numbers(first: int, count: int, seed: int) -> Float[Tensor, " B"]:
    """Return numbers first .. first+count-1 of the sequence of this seed, in [0, 1)."""
    start = numpy_generator(seed, "times").random()
    u_B = (start + np.arange(first, first + count, dtype=np.float64) * GOLDEN) % 1.0
    return torch.from_numpy(u_B).float().clamp(max=1 - 2**-24)


def spread(u: Float[Tensor, " B"], config: PathConfig) -> Float[Tensor, " B"]:
    """Return the times that have these shares of all times before them, as a recipe spreads them."""
    if config.times == "uniform":
        return u
    return logit_normal(u, config.times_mean, config.times_deviation)


def logit_normal(u: Float[Tensor, " B"], mean: float = 0.0, deviation: float = 1.0) -> Float[Tensor, " B"]:
    """Return the times below which these shares of a logit-normal distribution lie."""
    z = mean + deviation * torch.special.ndtri(u.double().clamp(1e-9, 1 - 1e-9))
    return torch.sigmoid(z).float()
