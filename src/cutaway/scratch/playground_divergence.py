"""Divergence: which number of a training step was the first to become infinite or undefined.

A learning rate or a weight that is too large lets numbers grow until 1.8e308, the largest float, is passed. From there on
everything that follows is infinity or NaN, so only the first one says what happened.

Look at `first_nonfinite`: it goes through a step's numbers in the order they were computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cutaway.scratch.small_network import Step
from cutaway.scratch.small_network_numbers import Phase, pass_numbers, update_numbers


@dataclass(frozen=True)
class Divergence:
    """The first number of a network that became infinite or undefined, in the step after `step`."""

    network: int
    seed: int
    step: int
    phase: str
    name: str
    value: float

    def __str__(self) -> str:
        return f"after step {self.step}, {self.phase}: {self.name} became {self.value}"


def find_divergences(
    step: Step, running: list[int], seeds: Sequence[int], batch_KB: NDArray[np.intp]
) -> list[Divergence]:
    """Return what blew up first in each of the running networks that did."""
    found = []
    if may_overflow(step, running):
        for k in running:
            first = first_nonfinite(step, k, batch_KB[k % len(batch_KB)])
            if first:
                found.append(Divergence(k, seeds[k], step.before.step, *first))
    return found


def may_overflow(step: Step, running: list[int]) -> bool:
    """Tell whether some number of these networks may be infinite or undefined: a quick look at all others follow from.

    A sum of squares is not finite when one of its numbers is not; that it also overflows above 1e154 does no harm.
    """
    arrays = [*step.batch.run.z[1:], *step.update.values()]
    if len(running) < len(step.before.parameters_KP):
        arrays = [array[running] for array in arrays]
    return not all(np.isfinite(np.vdot(array, array)) for array in arrays)


def first_nonfinite(step: Step, k: int, points: NDArray[np.intp]) -> tuple[Phase, str, float] | None:
    """Return phase, name and value of the first number of network k that is infinite or undefined."""
    for named in (*pass_numbers(step.batch), *update_numbers(step)):
        array = named.array[k % len(named.array)]  # the input is one for all networks unless each has its own batch
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            index = tuple(int(i) for i in bad[0])
            return named.phase, named.name_at(index, points), float(array[index])
    return None


def loudest_updates(step: Step) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return for each network the weight whose update is largest beside the weight itself, and how many times as large.

    Only weights whose update is at least a tenth of the network's largest count: a weight that happens to be near 0 is
    many times smaller than any update, and tells nothing.
    """
    before_KP, update_KP = step.before.parameters_KP, np.abs(step.update["update"])
    with np.errstate(all="ignore"):
        times_KP = update_KP / np.abs(before_KP)
        times_KP[~(update_KP >= 0.1 * update_KP.max(axis=1, keepdims=True))] = 0
    times_KP[~np.isfinite(times_KP)] = 0
    p_K = times_KP.argmax(axis=1)
    return p_K, times_KP[np.arange(len(p_K)), p_K]
