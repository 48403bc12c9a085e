"""Pictures to train on: what every source of them, drawn or read from files, hands to an objective.

`batch(first, count)` is a pure function of its arguments and the seed, so the position in the data is one number.
`held_out` is for measuring the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class PictureBatch:
    """Some pictures with what is said of them."""

    x_BCYX: Float[Tensor, "B C Y X"]
    """In [-1, 1]."""
    captions: list[str]
    label_B: Int[Tensor, " B"]
    """Index into the names; all 0 where there are no labels."""


@runtime_checkable
class Pictures(Protocol):
    """Pictures of one size, with captions, and labels where there are any."""

    size: int
    channels: int
    n_labels: int
    names: tuple[str, ...]
    hash: str
    count: int | None
    """How many there are to train on before they repeat; None: endless."""
    notes: tuple[str, ...]
    """What a person should know: files skipped, pictures cut, captions missing; one line each."""

    def batch(self, first: int, count: int) -> PictureBatch:
        """Return pictures first .. first+count-1 of the endless training stream."""

    @property
    def held_out(self) -> PictureBatch:
        """Pictures never trained on."""
