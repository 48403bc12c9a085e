"""Does it paint, or does it remember? Each picture's distance to its nearest training picture.

A small distance alone proves nothing: fresh drawings of the same scenes, which nobody can have copied, also have a
nearest training drawing. So the same distance is taken for them, and copying is what lies below it. Distances are root
mean squares over channels and pixels, in units of the whole range from black to white.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.diffusion.pictures import Pictures

_AT_ONCE = 1000


def nearest_training(
    x_BCYX: Float[Tensor, "B C Y X"], pictures: Pictures, n_training: int
) -> tuple[Float[Tensor, " B"], list[int]]:
    """Return the distance of each picture to the nearest of the first `n_training` training pictures, and which it is."""
    best_B = torch.full((len(x_BCYX),), torch.inf)
    where_B = torch.zeros(len(x_BCYX), dtype=torch.long)
    mine_BN = x_BCYX.flatten(1)
    for first in range(0, n_training, _AT_ONCE):
        theirs_MN = pictures.batch(first, min(_AT_ONCE, n_training - first)).x_BCYX.flatten(1)
        squares_BM = mine_BN.square().sum(1)[:, None] + theirs_MN.square().sum(1) - 2 * mine_BN @ theirs_MN.T
        distance_B, place_B = squares_BM.min(1)
        where_B = torch.where(distance_B < best_B, place_B + first, where_B)
        best_B = torch.minimum(best_B, distance_B)
    # differences in [-1, 1] are twice those in [0, 1]
    return (best_B.clamp(min=0) / mine_BN.shape[1]).sqrt() / 2, where_B.tolist()


@dataclass(frozen=True)
class Copying:
    """Nearest distances of what was painted beside those of fresh drawings of the same scenes."""

    painted: float
    """Median over the painted pictures."""
    fresh: float
    """Median over the fresh drawings."""
    nearer: float
    """Share of painted pictures that lie nearer to a training picture than all but 1 % of fresh drawings; about 0.01
    where nothing is copied."""
    nearest: list[int]
    """Painted pictures, nearest to a training picture first."""
    nearest_training: list[int]
    """The training picture nearest to each painted one."""


def copying(
    painted_BCYX: Float[Tensor, "B C Y X"], fresh_BCYX: Float[Tensor, "B2 C Y X"], pictures: Pictures, n_training: int
) -> Copying:
    """Compare the nearest training pictures of painted pictures and of fresh drawings.

    Args:
        fresh_BCYX: drawings of the same scenes that were never trained on.
        n_training: how many training pictures are looked through, from the first.
    """
    nearest_B, where = nearest_training(torch.cat([painted_BCYX, fresh_BCYX]), pictures, n_training)
    painted_B, fresh_B = nearest_B[: len(painted_BCYX)], nearest_B[len(painted_BCYX) :]
    return Copying(
        painted=float(painted_B.median()),
        fresh=float(fresh_B.median()),
        nearer=float((painted_B < fresh_B.quantile(0.01)).float().mean()),
        nearest=painted_B.argsort().tolist(),
        nearest_training=where[: len(painted_BCYX)],
    )
