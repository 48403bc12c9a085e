"""What to expect: sizes that suit a budget, and the loss each was measured to reach.

Each rung is a model size. Its curve says the held-out loss on the standard library after a whole run of D tokens,
`floor + scale / D^0.33` bits a byte, through the runs in docs/log.md (the exponent is common to all sizes; floors are what
it takes for that). Another text is easier or harder: by the ratio of what xz makes of it, to the power that fits the plays
in docs/log.md. Expect to be off by a tenth. Importing this loads nothing heavy.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass

POWER = 0.33
XZ_BITS_OF_STDLIB = 1.571
"""Bits a byte to which xz brings a sample of the standard library."""
DIFFICULTY_POWER = 0.45
SAMPLE_BYTES = 400_000
FEWEST_BYTES = 10_000


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

    def bits_per_byte(self, n_tokens: float, text_difficulty: float = 1.0) -> float:
        """Return the held-out loss to expect after a whole run of that many tokens."""
        return text_difficulty * (self.floor + self.scale / max(n_tokens, 1.0) ** POWER)


RUNGS = (
    Rung("tiny", 96, 3, 1, 128, 16, floor=1.35, scale=47.88),
    Rung("small", 128, 4, 1, 256, 16, floor=1.20, scale=60.68),
    Rung("medium", 192, 4, 2, 256, 16, floor=1.10, scale=67.34),
    Rung("large", 256, 6, 2, 256, 16, floor=1.00, scale=76.26),
)
"""From small to large."""


def difficulty(text: str) -> float:
    """Return how much harder a text is than the standard library; 1 for a text too short to tell."""
    sample = text.encode()[:SAMPLE_BYTES]
    if len(sample) < FEWEST_BYTES:
        return 1.0
    xz_bits = 8 * len(lzma.compress(sample, preset=6)) / len(sample)
    return (xz_bits / XZ_BITS_OF_STDLIB) ** DIFFICULTY_POWER
