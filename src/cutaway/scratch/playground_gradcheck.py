"""The gradient check: is the derivative that backpropagation gives really the slope of the loss?

    approximate = (loss(w + h) - loss(w - h)) / (2 h)

Every weight is moved up and down, one at a time, and the batch's loss computed anew each time. All these networks, two for
each weight, run side by side in one forward pass.

Look at `check_gradients`. Where the loss has a corner (ReLU at 0) the two may differ although both are right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cutaway.scratch.playground_moment import Moment
from cutaway.scratch.small_network import forward, losses
from cutaway.scratch.small_network_functions import FloatArray

WIDTH = 1e-5
TOLERANCE = 1e-6


@dataclass(frozen=True)
class GradientCheck:
    """The gradient of every weight and bias of one network, twice."""

    exact_P: FloatArray
    approximate_P: FloatArray

    @property
    def difference_P(self) -> FloatArray:
        """By how much the two differ."""
        return np.abs(self.exact_P - self.approximate_P)

    @property
    def is_close(self) -> bool:
        """Whether no two differ by more than the tolerance, in units of the largest gradient (or of 1, if that is less)."""
        largest = max(1.0, float(np.abs(self.exact_P).max()))
        return bool((self.difference_P <= TOLERANCE * largest).all())


def check_gradients(now: Moment, k: int = 0) -> GradientCheck:
    """Compute the gradient of the batch's loss of network k by backpropagation and by central differences."""
    with np.errstate(all="ignore"):
        exact_P = now.train_step().update["gradient"][k]
        moved_PP = np.eye(len(exact_P)) * WIDTH
        before_P = now.state.parameters_KP[k]
        batch = now.batch_KB[k % len(now.batch_KB)]
        layers = now.network.layers(np.concatenate([before_P + moved_PP, before_P - moved_PP]))
        run = forward(now.network, layers, now.data.x_N2[batch][None])
        loss_Q = losses(now.network, run, now.data.y_N[batch][None, :, None]).mean(axis=1)
        up_P, down_P = loss_Q[: len(exact_P)], loss_Q[len(exact_P) :]
        # what was really moved: w + h is rounded
        width_P = (before_P + WIDTH) - (before_P - WIDTH)
        return GradientCheck(exact_P, (up_P - down_P) / width_P)
