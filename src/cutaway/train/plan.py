"""A plan for a budget: which size, context and precision, how many steps, to what loss.

Nothing about the machine is guessed: one size is timed with every choice of threads and precision, then each size with
the fastest choice. The loss to expect comes from measured curves (`ladder.py`); the size with the lowest is proposed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from cutaway.base.objective import Objective
from cutaway.train.config import TrainConfig
from cutaway.train.ladder import RUNGS, Rung
from cutaway.train.pace import Pace, measure_pace

FEWEST_STEPS = 60
"""A run shorter than this says little about its size's curve."""


@dataclass(frozen=True)
class Proposal:
    """What one size would do with the budget on this machine."""

    rung: Rung
    pace: Pace
    steps: int
    tokens: int
    bits_per_byte: float
    """The held-out loss to expect."""


def propose(
    seconds: float,
    make: Callable[[Rung], Objective],
    config: TrainConfig,
    device: torch.device,
    text_difficulty: float,
) -> list[Proposal]:
    """Return what each size would reach, best first; sizes that are too slow for the budget are left out.

    Args:
        seconds: time to train, measuring and saving not included.
        make: builds a size's objective on the text.
        text_difficulty: from `ladder.difficulty`.
    """
    settled = config
    proposals: list[Proposal] = []
    for rung in RUNGS:
        objective = make(rung)
        settled = replace(settled, batch_size=rung.batch_size, accumulate=1)
        is_first = not proposals
        pace = measure_pace(objective, settled, device, None, rounds=3 if is_first else 2)
        if is_first:
            settled = replace(settled, precision=pace.precision, threads=pace.threads)
        steps = int(seconds / pace.seconds_per_step)
        if steps < FEWEST_STEPS and proposals:
            break
        tokens = max(1, steps) * rung.batch_size * rung.context_length
        proposals.append(Proposal(rung, pace, max(1, steps), tokens, rung.bits_per_byte(tokens, text_difficulty)))
    return sorted(proposals, key=lambda proposal: proposal.bits_per_byte)
