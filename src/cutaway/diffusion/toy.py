"""A field of arrows small enough to see: from a cloud of noise in the plane to a shape.

A picture of 64 x 64 x 3 numbers is one point in a space of 12,288 directions. Here the space has two, so it can be drawn:
noise is a round cloud, the "pictures" are points on a shape, and at every place and time an arrow says where to go next.

    x_t = (1 - t) x_0 + t x_1                               x_0 noise, x_1 a point of the shape, drawn apart
    v(x, t) = mean of x_1 - x_0 over all pairs whose line is at x at time t
            = sum(i: w_i (p_i - x) / (1 - t)),   w = softmax(i: -|x - t p_i|^2 / (2 (1 - t)^2))

The second line is exact for a shape of finitely many points p_i (`ExactField`): x_0 = (x - t p_i) / (1 - t) is normally
distributed. A network that is only ever shown single pairs and asked for their x_1 - x_0 learns that mean (`train_field`),
which is all of flow matching: Lipman et al. 2023, arXiv:2210.02747. Look at the arrows at t = 0: all point to the shape's
middle, since from pure noise any point is as likely; they decide late. The exact field ends on the given points; the
learned one ends between them too: what it does not know exactly it fills in, and that is why pictures can be new.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.seed import torch_generator

Shape = Literal["moons", "ring", "spiral", "corners"]


Field = Callable[[Tensor, float], Tensor]
"""An arrow at every place `N 2` at a time."""


def shape_points(shape: Shape, count: int, seed: int = 0) -> Float[Tensor, "N 2"]:
    """Return points on a shape, a little blurred, within about 2 of the middle."""
    random = torch_generator(seed, "toy", shape)
    u = torch.rand(count, generator=random)
    blur_N2 = 0.06 * torch.randn(count, 2, generator=random)
    made: dict[Shape, Callable[[], Tensor]] = {
        "ring": lambda: 1.6 * _on_circle(2 * math.pi * u),
        "spiral": lambda: (0.3 + 1.4 * u)[:, None] * _on_circle(3.5 * math.pi * u),
        "moons": lambda: _moons(u),
        "corners": lambda: 1.3 * torch.stack([1 - 2 * (4 * u).floor().remainder(2), 1 - 2 * (2 * u).floor()], dim=1),
    }
    return made[shape]() + blur_N2


def _on_circle(angle_N: Tensor) -> Tensor:
    return torch.stack([angle_N.cos(), angle_N.sin()], dim=1)


def _moons(u_N: Tensor) -> Tensor:
    is_upper_N1 = (u_N < 0.5)[:, None]
    arc_N2 = _on_circle(math.pi * (2 * u_N).remainder(1))
    upper_N2 = 1.2 * (arc_N2 - torch.tensor([0.5, 0.25]))
    return torch.where(is_upper_N1, upper_N2, -upper_N2)


class ExactField:
    """The field that leads from noise to these points and no others."""

    def __init__(self, points: Float[Tensor, "N 2"]) -> None:
        self.points = points

    def __call__(self, x: Float[Tensor, "M 2"], t: float) -> Float[Tensor, "M 2"]:
        """Return the velocities at a time before 1."""
        off_MN2 = x[:, None] - t * self.points
        weights_MN = (-off_MN2.square().sum(-1) / (2 * (1 - t) ** 2)).softmax(dim=1)
        return (weights_MN @ self.points - x) / (1 - t)


class LearnedField(nn.Module):
    """A network of 2 hidden layers: place and time in, velocity out."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(7, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        )

    def forward(self, x: Float[Tensor, "N 2"], t: Float[Tensor, " N"] | float) -> Float[Tensor, "N 2"]:
        """Return the velocities."""
        t_N1 = torch.as_tensor(t, dtype=x.dtype).expand(len(x))[:, None]
        waves = [wave(math.pi * times * t_N1) for times in (1, 2) for wave in (torch.sin, torch.cos)]
        return self.layers(torch.cat([x, t_N1, *waves], dim=1))


def train_field(points: Float[Tensor, "N 2"], seed: int = 0, steps: int = 500) -> LearnedField:
    """Return a field learned from pairs of noise and points; about a second."""
    random = torch_generator(seed, "toy", "train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = LearnedField()
    optimizer = torch.optim.AdamW(field.parameters(), lr=5e-3, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        picture_N2 = points[torch.randint(len(points), (512,), generator=random)]
        noise_N2, t_N = torch.randn(512, 2, generator=random), torch.rand(512, generator=random)
        x_N2 = torch.lerp(noise_N2, picture_N2, t_N[:, None])
        loss = (field(x_N2, t_N) - (picture_N2 - noise_N2)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return field.eval()


@torch.no_grad()
def follow(field: Field, starts: Float[Tensor, "N 2"], steps: int = 50) -> Float[Tensor, "L N 2"]:
    """Return where points are after 0, 1, ... `steps` equal steps along the arrows, from t = 0 to 1."""
    places = [starts]
    for step in range(steps):
        places.append(places[-1] + field(places[-1], step / steps) / steps)
    return torch.stack(places)


@torch.no_grad()
def arrows(
    field: Field, t: float, across: int = 15, reach: float = 2.5
) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N 2"]]:
    """Return the places of a square lattice, row by row from the bottom, and the velocity at each at a time before 1."""
    ticks = torch.linspace(-reach, reach, across)
    places_N2 = torch.cartesian_prod(ticks, ticks).flip(1)
    return places_N2, field(places_N2, t)
