"""The VAE's objective: its parts by hand, measured without noise, and learned."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from cutaway.base.objective import Objective
from cutaway.diffusion.autoencoding import Autoencoding, coarse_loss, edge_loss, psnr_db
from cutaway.diffusion.config import VAEConfig
from cutaway.diffusion.pictures import PictureBatch
from cutaway.diffusion.vae import VAE

CONFIG = VAEConfig(
    size=16, latent_channels=4, width=8, multipliers=(1, 2), kl_weight=0.01, edge_weight=0.3, coarse_weight=0.7
)


class Halves:
    """Pictures of two colours, one beside the other."""

    size, channels, n_labels, names, hash, count, notes = 16, 3, 0, (), "halves", None, ()

    def batch(self, first: int, count: int) -> PictureBatch:
        return self.draw(range(first, first + count))

    @property
    def held_out(self) -> PictureBatch:
        return self.draw(range(-70, 0))

    def draw(self, numbers: range) -> PictureBatch:
        pictures = []
        for number in numbers:
            left, right = torch.rand(2, 3, 1, 1, generator=torch.Generator().manual_seed(1000 + number)) * 2 - 1
            edge = number % 14 + 1
            pictures.append(torch.cat([left.expand(3, 16, edge), right.expand(3, 16, 16 - edge)], dim=2))
        return PictureBatch(torch.stack(pictures), [""] * len(numbers), torch.zeros(len(numbers), dtype=torch.int64))


@pytest.fixture
def objective() -> Autoencoding:
    torch.manual_seed(0)
    return Autoencoding(VAE(CONFIG), Halves(), seed=3)


def test_loss_by_hand(objective: Autoencoding) -> None:
    x, noise = objective.batch(10, 5)
    made, posterior = objective.model(x, noise)
    believed = Normal(posterior.mean_BCYX, (0.5 * posterior.log_variance_BCYX).exp())
    kl = kl_divergence(believed, Normal(0.0, 1.0)).mean()
    off = made - x
    edges = (off[..., 1:] - off[..., :-1]).abs().mean() + (off[..., 1:, :] - off[..., :-1, :]).abs().mean()
    coarse = sum(off.unfold(2, n, n).unfold(3, n, n).mean((4, 5)).square().mean() for n in (2, 4, 8))
    expected = off.square().mean() + 0.3 * edges + 0.7 * coarse + 0.01 * kl
    torch.testing.assert_close(objective.loss(objective.model, (x, noise)), expected)


def test_coarse_counts_a_shade_and_not_grain() -> None:
    grain = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)[None, None]
    assert coarse_loss(grain) == 0
    assert coarse_loss(torch.full((2, 3, 8, 8), -0.5)) == pytest.approx(3 * 0.25)


def test_edges_count_a_missing_line_and_not_a_shade() -> None:
    off = torch.zeros(1, 1, 4, 6)
    assert edge_loss(off + 0.5) == 0
    off[..., 3] = 1.0  # a line that is not there: wrong on both its sides
    torch.testing.assert_close(edge_loss(off), torch.tensor(2 * 4 / (4 * 5)))


def test_psnr() -> None:
    assert psnr_db(4.0) == 0
    assert psnr_db(0.04) == pytest.approx(20)
    assert psnr_db(0.0) == math.inf


def test_a_batch_is_a_function_of_its_place(objective: Autoencoding) -> None:
    together = objective.batch(4, 6)
    for whole, first, last in zip(together, objective.batch(4, 2), objective.batch(6, 4), strict=True):
        assert torch.equal(whole, torch.cat([first, last]))
    assert not torch.equal(together[1][0], together[1][1])


def test_held_out_pictures_are_measured_without_noise(objective: Autoencoding) -> None:
    model = objective.model
    with torch.no_grad():
        measured = objective.validate(model)
        x = objective.pictures.held_out.x_BCYX
        squares = (model.decode(model.encode(x)).clamp(-1, 1) - x).square().mean()
    assert measured.n_targets == 70
    assert measured.more["mean_squared_error"] == pytest.approx(float(squares), rel=1e-4)
    assert measured.more["psnr_db"] == pytest.approx(10 * math.log10(4 / float(squares)), abs=1e-3)
    assert measured.bits_per_byte is None
    with torch.no_grad():
        assert objective.validate(model) == measured
        assert objective.validate(model, max_tokens=9).n_targets == 9


@pytest.mark.slow
def test_it_is_an_objective_and_learns() -> None:
    torch.manual_seed(0)
    model = VAE(dataclasses.replace(CONFIG, width=16, kl_weight=1e-4))
    objective = Autoencoding(model, Halves(), seed=0)
    assert isinstance(objective, Objective)
    with torch.no_grad():
        before = objective.validate(model).more["psnr_db"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(60):
        objective.loss(model, objective.batch(16 * step, 16)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        assert objective.validate(model).more["psnr_db"] > before + 1
