"""The learning rate over a run, as a share of its peak: pure functions of where the run is.

Warm-up, because the first gradients point anywhere and AdamW's averages are still empty. Then one of
`stable` (Hu et al. 2024, arXiv:2404.06395: hold the peak, fall linearly at the end), `cosine` (Loshchilov and Hutter
2016, arXiv:1608.03983, equation 5, without restarts) or `linear`.
Falling is where most of the loss is won: small steps settle into the valley.
"""

from __future__ import annotations

import math

from cutaway.train.config import TrainConfig


def rate(step: int, total_steps: int, config: TrainConfig) -> float:
    """Return the share of the peak rate used by update number `step` (0-based) of `total_steps`."""
    warmup_steps = max(1, round(config.warmup_fraction * total_steps))
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    last = config.final_fraction
    if config.schedule == "stable":
        decay_steps = max(1, round(config.decay_fraction * total_steps))
        return last + (1 - last) * min(1.0, (total_steps - step) / decay_steps)
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    if config.schedule == "cosine":
        return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * done))
    return last + (1 - last) * (1 - done)
