"""Weights of detail: by the formula, pixel by pixel; 1 on average; and what the objective makes of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cutaway.base.errors import ConfigError
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import PathConfig
from cutaway.diffusion.denoising import Denoising
from cutaway.diffusion.detail import EPS, detail_weight
from cutaway.diffusion.pictures import PictureBatch

B, C, Y, X = 3, 2, 6, 5


def by_hand(x: Tensor, k: float) -> Tensor:
    def around(map_YX: Tensor) -> Tensor:
        out = torch.empty_like(map_YX)
        for i in range(Y):
            for j in range(X):
                out[i, j] = map_YX[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2].mean()
        return out

    contrast = around(torch.stack([(map_YX - around(map_YX)).abs() for map_YX in x]).mean(dim=0)) + EPS
    return (1 + k * contrast / contrast.mean()) / (1 + k)


@pytest.mark.parametrize("k", [0.0, 0.5, 1.0, 4.0])
def test_the_formula(k: float) -> None:
    x = torch.randn(B, C, Y, X, generator=torch.Generator().manual_seed(0))
    weight = detail_weight(x, k)
    assert weight.shape == (B, 1, Y, X)
    torch.testing.assert_close(weight[:, 0], torch.stack([by_hand(one, k) for one in x]))
    torch.testing.assert_close(weight.mean(dim=(1, 2, 3)), torch.ones(B))


def test_a_dot_on_a_meadow_weighs_more_than_the_meadow_and_an_even_picture_evenly() -> None:
    x = torch.zeros(2, 3, 32, 32)
    x[0, :, 10:12, 20:22] = 1.0
    weight = detail_weight(x, 1.0)[:, 0]
    assert weight[0, 10, 20] > 20 * weight[0, 25, 5]
    torch.testing.assert_close(weight[1], torch.ones(32, 32))


class Dots:
    """Black pictures, each with one white pixel."""

    size, channels, n_labels, count, names, notes, hash = 8, 1, 0, 16, (), (), "dots"

    def batch(self, first: int, count: int) -> PictureBatch:
        x = -torch.ones(count, 1, 8, 8)
        for row in range(count):
            x[row, 0, (first + row) % 8, 3] = 1.0
        return PictureBatch(x, [""] * count, torch.zeros(count, dtype=torch.long))

    @property
    def held_out(self) -> PictureBatch:
        return self.batch(0, 8)


class Nothing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        return self.zero * x


def test_training_weighs_detail_and_what_is_held_out_is_measured_without() -> None:
    plain, weighing = (Denoising(Nothing(), Dots(), PathConfig(detail_weight=k), seed=1) for k in (0.0, 2.0))
    batch = plain.batch(0, 8)
    target = plain.path.target(batch.picture_BCYX, batch.noise_BCYX, batch.t_B)
    expected = torch.stack(
        [(by * target[row] ** 2).mean() for row, by in enumerate(detail_weight(batch.picture_BCYX, 2.0))]
    )
    torch.testing.assert_close(weighing.loss(weighing.model, batch).detach(), expected.mean())
    assert weighing.loss(weighing.model, batch) != plain.loss(plain.model, batch)
    with torch.no_grad():
        assert plain.validate(plain.model) == weighing.validate(weighing.model)


@pytest.mark.parametrize("given", [-0.1, float("inf"), float("nan")])
def test_a_weight_is_a_number_from_0(given: float) -> None:
    with pytest.raises(ConfigError, match=r"path\.detail_weight is .*; expected 0 or more"):
        PathConfig(detail_weight=given)
