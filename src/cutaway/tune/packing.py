"""Several conversations in one row, end to end, each read as if it were alone.

    Write about rain. It rains <stop> | Write about hats. A hat <stop> | ...       lengths (12, 10, ...)

Conversations differ in length, and rows padded to the longest would compute mostly padding. Laid end to end there is none.
No position reads another conversation: attention, positions and runs of tokens begin anew at each (`Decoder.forward`,
`lengths`), so loss and gradients are those of the conversations one by one. Logits are made only where a token is
learned, for a table of them over a large vocabulary would take most of the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from cutaway.tune.examples import Example

MOST_LOGITS = 1 << 26
"""So many at once where no gradient is wanted: a quarter of a gigabyte."""


@dataclass(frozen=True)
class Packed:
    """Conversations end to end."""

    tokens: Int[Tensor, "1 T"]
    lengths: tuple[int, ...]
    wanted: Int[Tensor, " N"]
    """The positions that are followed by a token to learn."""
    targets: Int[Tensor, " N"]
    """Those tokens."""
    counts: tuple[int, ...]
    """How many of them each conversation has."""

    def to(self, device: torch.device) -> Packed:
        """Return the same on a device."""
        if device.type == "cpu":
            return self
        moved = (one.to(device, non_blocking=True) for one in (self.tokens, self.wanted, self.targets))
        tokens, wanted, targets = moved
        return Packed(tokens, self.lengths, wanted, targets, self.counts)


def pack(examples: Sequence[Example]) -> Packed:
    """Lay conversations end to end: each token but a conversation's last is read, each but its first may be learned."""
    tokens = np.concatenate([one.tokens[:-1] for one in examples])
    follows = np.concatenate([one.tokens[1:] for one in examples])
    is_wanted = np.concatenate([one.is_learned[1:] for one in examples])
    wanted = np.flatnonzero(is_wanted)
    return Packed(
        torch.from_numpy(tokens)[None],
        tuple(len(one.tokens) - 1 for one in examples),
        torch.from_numpy(wanted),
        torch.from_numpy(follows[wanted]),
        tuple(one.n_learned for one in examples),
    )


def parted(examples: Sequence[Example], vocab_size: int) -> Iterator[list[Example]]:
    """Yield conversations in groups whose logits fit in memory."""
    most = max(1, MOST_LOGITS // vocab_size)
    group: list[Example] = []
    n_learned = 0
    for one in examples:
        if group and n_learned + one.n_learned > most:
            yield group
            group, n_learned = [], 0
        group.append(one)
        n_learned += one.n_learned
    if group:
        yield group
