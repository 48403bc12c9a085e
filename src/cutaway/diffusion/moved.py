"""Pictures moved a little, another way each time they are shown: one picture makes many, and fewer are learned by heart.

    y[i, j] = x[clip(i - down), clip(j - right)]        what comes in from outside repeats the edge

How far depends on the seed and on the number of a picture in the endless stream alone, so a resumed run goes on exactly.
A model that only ever sees moved pictures must find out where each lies: of figures in the middle it loses up to
2 log(2 shift + 1) nats of what it could know. So the last passes over the pictures can show them as they are. What is held
out never moves.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from cutaway.base.seed import derive
from cutaway.diffusion.counted import uniforms
from cutaway.diffusion.pictures import PictureBatch, Pictures


class MovedPictures:
    """Other pictures, each moved by up to `shift` pixels, up or down and left or right.

    Args:
        epochs: passes over the pictures in which they are moved; None: all.
    """

    def __init__(self, pictures: Pictures, shift: int, epochs: int | None, seed: int) -> None:
        self.pictures, self.shift = pictures, shift
        self.size, self.channels = pictures.size, pictures.channels
        self.n_labels, self.names, self.notes = pictures.n_labels, pictures.names, pictures.notes
        self.count, self.hash = pictures.count, pictures.hash
        self._end = None if epochs is None or pictures.count is None else epochs * pictures.count
        self._seed = derive(seed, "shift")

    @property
    def held_out(self) -> PictureBatch:
        """The pictures never trained on, where they are."""
        return self.pictures.held_out

    def batch(self, first: int, count: int) -> PictureBatch:
        """Return pictures first .. first+count-1 of the endless stream, moved."""
        batch = self.pictures.batch(first, count)
        return replace(batch, x_BCYX=moved(batch.x_BCYX, self.moves(first, count)))

    def moves(self, first: int, count: int) -> Int[ndarray, "B 2"]:
        """Return by how many pixels pictures first .. first+count-1 go down and to the right."""
        index_B = np.arange(first, first + count)
        far_B2 = uniforms(self._seed, index_B, 2).astype(np.float64) * (2 * self.shift + 1)
        moves_B2 = np.floor(far_B2).astype(np.int64) - self.shift
        return moves_B2 if self._end is None else moves_B2 * (index_B < self._end)[:, None]


def moved(x_BCYX: Float[Tensor, "B C Y X"], moves_B2: Int[ndarray, "B 2"]) -> Float[Tensor, "B C Y X"]:
    """Return each picture moved by its own number of pixels, down and to the right (less than 0: up and to the left)."""
    B, C, Y, X = x_BCYX.shape
    y_BY = torch.from_numpy(np.clip(np.arange(Y) - moves_B2[:, :1], 0, Y - 1))
    x_BX = torch.from_numpy(np.clip(np.arange(X) - moves_B2[:, 1:], 0, X - 1))
    each, colour = torch.arange(B).view(B, 1, 1, 1), torch.arange(C).view(1, C, 1, 1)
    return x_BCYX[each, colour, y_BY.view(B, 1, Y, 1), x_BX.view(B, 1, 1, X)]
