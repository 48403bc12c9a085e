"""What to expect: sizes that suit a budget, and the loss each was measured to reach.

Each rung is a model size that was the best for some budget. Its curve says the held-out loss on the standard library
after a whole run of D tokens, `floor + scale / D^power` bits a byte, fitted to the runs in docs/log.md (`python -m
cutaway.train.ladder` fits them again). Another text is easier or harder by about as much as a general compressor finds
it so. Importing this loads nothing heavy.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass

REFERENCE_XZ_BITS = 1.70
"""Bits a byte to which xz brings a sample of the standard library."""
SAMPLE_BYTES = 400_000


@dataclass(frozen=True)
class Rung:
    """One size, its batch, and its measured curve."""

    name: str
    d_model: int
    n_layers: int
    n_heads: int
    context_length: int
    batch_size: int
    floor: float
    scale: float
    power: float

    def bits_per_byte(self, n_tokens: float, difficulty: float = 1.0) -> float:
        """Return the held-out loss to expect after a whole run of that many tokens."""
        return difficulty * (self.floor + self.scale / max(n_tokens, 1.0) ** self.power)


RUNGS = (
    Rung("tiny", 96, 3, 1, 128, 16, 1.0, 180.0, 0.45),
    Rung("small", 128, 4, 1, 256, 16, 0.95, 160.0, 0.45),
    Rung("medium", 192, 4, 2, 256, 16, 0.9, 160.0, 0.45),
    Rung("large", 256, 6, 2, 256, 16, 0.8, 160.0, 0.45),
)
"""From small to large."""


def difficulty(text: str) -> float:
    """Return how much harder a text is than the standard library: the ratio of what xz makes of a sample."""
    sample = text.encode()[:SAMPLE_BYTES]
    if len(sample) < 10_000:
        return 1.0
    return 8 * len(lzma.compress(sample, preset=6)) / len(sample) / REFERENCE_XZ_BITS
