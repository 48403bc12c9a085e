"""Autoencoding: the objective of the VAE. A picture goes through a drawn latent and is compared with itself.

    loss  = mean (x' - x)^2 + edge_weight mean |differences of neighbours of (x' - x)| + kl_weight KL
            + coarse_weight sum over n = 1, 2, 3 of mean (x' - x, halved n times)^2
    PSNR  = 10 log10(2^2 / mean (x' - x)^2)         in dB; pictures reach from -1 to 1, so their range is 2

The edge-aware part asks the differences of neighbouring pixels to be right, not the pixels alone: an edge that is blurred
or missing costs as much as it is long, so small things survive. The coarse part asks the means of 2 x 2, 4 x 4 and 8 x 8
pixels to be right: the colour and the size of a small thing, off by little in many pixels. Held-out pictures are measured
without noise: what is reported is what a latent model's picture would lose on the way in and out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.objective import Probe, Sample, Validation
from cutaway.base.seed import torch_generator
from cutaway.diffusion.pictures import Pictures
from cutaway.diffusion.portions import mean_of_portions, portions
from cutaway.diffusion.vae import VAE, Posterior

Batch = tuple[Float[Tensor, "B C Y X"], Float[Tensor, "B C2 Y2 X2"]]

MEASURED_AT_ONCE = 64


def edge_loss(off_BCYX: Float[Tensor, "B C Y X"]) -> Float[Tensor, ""]:
    """Return how far the differences of neighbours are off: mean of the absolute values, of rows and of columns.

    Args:
        off_BCYX: made minus given.
    """
    return off_BCYX.diff(dim=2).abs().mean() + off_BCYX.diff(dim=3).abs().mean()


def coarse_loss(off_BCYX: Float[Tensor, "B C Y X"]) -> Float[Tensor, ""]:
    """Return the squared error of the pictures halved once, twice and three times, all three together.

    Args:
        off_BCYX: made minus given; each edge 8 or more.
    """
    total = off_BCYX.new_zeros(())
    for _ in range(3):
        off_BCYX = F.avg_pool2d(off_BCYX, 2)
        total = total + off_BCYX.square().mean()
    return total


def psnr_db(mean_squared_error: float) -> float:
    """Return the peak signal-to-noise ratio of pictures in [-1, 1]; infinite where nothing is lost."""
    return 10 * math.log10(4 / mean_squared_error) if mean_squared_error else math.inf


class Autoencoding:
    """Put pictures through the VAE and get them back.

    Args:
        seed: of the noise in the latents.
        show: makes the sample of a step.
    """

    def __init__(
        self, model: VAE, pictures: Pictures, seed: int, show: Callable[[nn.Module, int], Sample] | None = None
    ) -> None:
        self.model, self.pictures, self.seed = model, pictures, seed
        self.show = show or (lambda model, step: Sample(""))

    @property
    def sequences_per_epoch(self) -> int:
        """How many pictures there are; of endless ones, so many as are drawn in one training at most."""
        return self.pictures.count or 2**40

    @property
    def tokens_per_sequence(self) -> int:
        """A sequence is a picture."""
        return 1

    @property
    def probe(self) -> Probe | None:
        """Nothing fixed is looked at."""
        return None

    def batch(self, first: int, count: int) -> Batch:
        """Return pictures first .. first+count-1 and the noise for their latents, a pure function of each one's number."""
        config = self.model.config
        shape = (config.latent_channels, config.latent_size, config.latent_size)
        noise = [
            torch.randn(shape, generator=torch_generator(self.seed, "latent", i)) for i in range(first, first + count)
        ]
        return self.pictures.batch(first, count).x_BCYX, torch.stack(noise)

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return reconstruction, edges and divergence together."""
        device = next(self.model.parameters()).device
        x_BCYX, noise_BCYX = (part.to(device, non_blocking=True) for part in batch)
        made_BCYX, posterior = model(x_BCYX, noise_BCYX)
        return self._together(made_BCYX - x_BCYX, posterior)

    def validate(self, model: nn.Module, max_tokens: int | None = None) -> Validation:
        """Return the loss on the held-out pictures, or the first `max_tokens` of them, with the latents' means; the mean
        squared error, PSNR and divergence beside it."""
        held_out_BCYX = self.pictures.held_out.x_BCYX[:max_tokens]
        device = next(self.model.parameters()).device
        losses, squares, divergences, sizes = [], [], [], []
        for rows in portions(len(held_out_BCYX), MEASURED_AT_ONCE):
            x_BCYX = held_out_BCYX[rows].to(device)
            made_BCYX, posterior = model(x_BCYX, self._no_noise(len(x_BCYX)).to(x_BCYX))
            losses.append(float(self._together(made_BCYX - x_BCYX, posterior)))
            squares.append(float((made_BCYX.clamp(-1, 1) - x_BCYX).square().mean()))
            divergences.append(float(posterior.kl_nats()))
            sizes.append(len(x_BCYX))
        loss, square, divergence = (mean_of_portions(values, sizes) for values in (losses, squares, divergences))
        more = {"mean_squared_error": square, "psnr_db": psnr_db(square), "kl_nats": divergence}
        return Validation(loss, None, sum(sizes), more)

    def sample(self, model: nn.Module, step: int) -> Sample:
        """Return what the VAE makes of pictures now."""
        return self.show(model, step)

    def _together(self, off_BCYX: Tensor, posterior: Posterior) -> Tensor:
        config = self.model.config
        loss = off_BCYX.square().mean() + config.edge_weight * edge_loss(off_BCYX)
        if config.coarse_weight:
            loss = loss + config.coarse_weight * coarse_loss(off_BCYX)
        return loss + config.kl_weight * posterior.kl_nats()

    def _no_noise(self, count: int) -> Tensor:
        config = self.model.config
        return torch.zeros(count, config.latent_channels, config.latent_size, config.latent_size)
