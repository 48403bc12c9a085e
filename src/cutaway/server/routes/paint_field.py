"""Points in the plane that follow arrows from noise to a shape: flow matching where all of it can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import TheLab

if TYPE_CHECKING:
    from numpy import ndarray

router = APIRouter()

Shape = Literal["moons", "ring", "spiral", "corners"]
N_POINTS = 256
"""Of the shape."""
N_FOLLOWED = 240
STEPS = 40
ACROSS = 15
REACH = 2.5


class PlaneField(BaseModel):
    """A field of arrows. Arrays (float32): `shape` (points, 2), `places` (places, 2), and for the `exact` field and the
    `learned` one `arrows` (steps, places, 2) at the beginning of each step and `ways` (steps + 1, points, 2)."""

    steps: int
    """t = step / steps."""
    reach: float
    """What is shown goes from -reach to reach."""


@router.get("/field", **with_arrays(PlaneField))
def field(lab: TheLab, shape: Shape = "moons", seed: int = 0) -> ArraysResponse:
    """Return the arrows that lead from noise to a shape, and where points go that follow them."""
    arrays = lab.kept.once(
        ("field", shape, seed), lambda: computed(shape, seed), lambda found: sum(one.nbytes for one in found.values())
    )
    return ArraysResponse(PlaneField(steps=STEPS, reach=REACH), arrays)


def computed(shape: Shape, seed: int) -> dict[str, ndarray]:
    """Return all arrays of a field; the learned one takes a second."""
    import torch

    from cutaway.base.seed import torch_generator
    from cutaway.diffusion.toy import ExactField, arrows, follow, shape_points, train_field

    points_N2 = shape_points(shape, N_POINTS, seed)
    starts_N2 = torch.randn(N_FOLLOWED, 2, generator=torch_generator(seed, "toy", "starts"))
    found = {"shape": points_N2.numpy()}
    for name, one in (("exact", ExactField(points_N2)), ("learned", train_field(points_N2, seed))):
        at_steps = [arrows(one, step / STEPS, ACROSS, REACH) for step in range(STEPS)]
        found["places"] = at_steps[0][0].numpy()
        found[f"{name}_arrows"] = np.stack([velocity.detach().numpy() for _, velocity in at_steps])
        found[f"{name}_ways"] = follow(one, starts_N2, STEPS).numpy()
    return found
