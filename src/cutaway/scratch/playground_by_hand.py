"""A whole training step as text: every sum a person would write down, in the order they would write it.

    forward     z and a of every unit, layer by layer, for one point
    loss        of this point
    backward    dL/da, da/dz, dL/dz of every unit, from the output back
    gradients   of every weight: what this point asks for
    update      of every weight, from the mean over the batch

Look at `by_hand`. Each line is a `Formula`: its numbers, worked out again, must give the value that the network used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cutaway.scratch.playground_moment import Moment
from cutaway.scratch.small_network import Pass, Step
from cutaway.scratch.small_network_formulas import (
    Formula,
    gradient_formula,
    loss_formula,
    unit_formula,
    update_formula,
)
from cutaway.scratch.small_network_functions import OPTIMIZERS

HandPhase = Literal["forward", "loss", "backward", "gradients", "update"]


@dataclass(frozen=True)
class Lines:
    """The lines of one layer in one phase."""

    phase: HandPhase
    layer: int
    formulas: tuple[Formula, ...]


def by_hand(now: Moment, point: int, k: int = 0) -> list[Lines]:
    """Return every line of the step that leads on from here, as one point and one network sees it."""
    with np.errstate(all="ignore"):
        shown, step = now.pass_over(point), now.train_step()
        return [*_forward(shown, k, point), *_backward(shown, k, point), *_update(step, k)]


def _forward(shown: Pass, k: int, point: int) -> Iterator[Lines]:
    sizes = shown.network.sizes
    for layer in range(1, len(sizes)):
        units = range(1, sizes[layer] + 1)
        yield Lines(
            "forward",
            layer,
            tuple(unit_formula(shown, kind, k, layer, unit, point) for unit in units for kind in ("z", "a")),
        )
    yield Lines("loss", len(sizes) - 1, (loss_formula(shown, k, np.array([point])),))


def _backward(shown: Pass, k: int, point: int) -> Iterator[Lines]:
    sizes = shown.network.sizes
    for layer in range(len(sizes) - 1, 0, -1):
        kinds = ("dL/da", "da/dz", "dL/dz")
        formulas = [unit_formula(shown, kind, k, layer, u, point) for u in range(1, sizes[layer] + 1) for kind in kinds]
        yield Lines("backward", layer, tuple(formulas))
        gradients = [gradient_formula(shown, k, layer, u, s, np.array([point])) for u, s in weights(sizes, layer)]
        yield Lines("gradients", layer, tuple(gradients))


def _update(step: Step, k: int) -> Iterator[Lines]:
    network = step.batch.network
    kinds = (*OPTIMIZERS[network.optimizer].texts, "new_value")
    for layer in range(1, len(network.sizes)):
        formulas = [
            update_formula(step, kind, k, layer, u, s) for u, s in weights(network.sizes, layer) for kind in kinds
        ]
        yield Lines("update", layer, tuple(formulas))


def weights(sizes: tuple[int, ...], layer: int) -> list[tuple[int, int | None]]:
    """Return unit and source of every weight of a layer, and of the biases, whose source is None."""
    units, sources = range(1, sizes[layer] + 1), range(1, sizes[layer - 1] + 1)
    return [(unit, source) for unit in units for source in (*sources, None)]
