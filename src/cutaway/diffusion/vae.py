"""A variational autoencoder: a small map of latents in place of many pixels.

    encoder   x -> mean, variance        one normal distribution for each number of the latent map
    latent    z = mean + std * noise
    decoder   z -> x'

    loss = |x - x'| + edges + kl_weight * KL(q(z|x) || N(0, 1))
    KL   = (mean^2 + variance - 1 - log variance) / 2        nats a latent number

Kingma and Welling 2013, arXiv:1312.6114; as the first stage of a latent diffusion model, Rombach et al. 2021,
arXiv:2112.10752. Squares of `patch` pixels are read as one place with many channels, and the residual blocks have no norm:
on a CPU both halve the time of a step at the same error. `shift_C` and `scale_C` are measured after training: with them
latents have mean 0 and standard deviation 1 in each channel, which is what a latent model denoises.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.files import content_hash
from cutaway.base.tap import tap
from cutaway.diffusion.config import VAEConfig

LOG_VARIANCE_LIMITS = (-30.0, 20.0)
"""Beyond these, exp() would leave what float32 can hold well."""


@dataclass(frozen=True)
class Posterior:
    """What the encoder believes about each latent number: a normal distribution."""

    mean_BCYX: Float[Tensor, "B C Y X"]
    log_variance_BCYX: Float[Tensor, "B C Y X"]

    def draw(self, noise_BCYX: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C Y X"]:
        """Return a latent: the mean, moved by noise of the believed width."""
        return self.mean_BCYX + (0.5 * self.log_variance_BCYX).exp() * noise_BCYX

    def kl_nats(self) -> Float[Tensor, ""]:
        """Return the divergence from N(0, 1), a mean over latent numbers."""
        mean, log_variance = self.mean_BCYX, self.log_variance_BCYX
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))), which is the identity before training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.in_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.out_conv = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.out_conv.weight)
        nn.init.zeros_(self.out_conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C Y X"]:
        """Return the changed map."""
        return x + self.out_conv(F.relu(self.in_conv(F.relu(x))))


class Encoder(nn.Module):
    """Pixels to mean and log variance, level by level, each half the edge of the one before."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        widths = [config.width * multiplier for multiplier in config.multipliers]
        self.unshuffle = nn.PixelUnshuffle(config.patch)
        self.in_conv = nn.Conv2d(config.channels * config.patch**2, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(widths[i - 1], width, 2, stride=2) if i else nn.Identity(),
                *(ResidualBlock(width) for _ in range(config.n_blocks)),
            )
            for i, width in enumerate(widths)
        )
        self.out_conv = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C Y X"]) -> Posterior:
        """Return the distribution of every latent number."""
        h_BCYX = self.in_conv(self.unshuffle(x))
        for i, level in enumerate(self.levels):
            h_BCYX = tap(f"level{i}_BCYX", level(h_BCYX))
        mean_BCYX, log_variance_BCYX = self.out_conv(F.relu(h_BCYX)).float().chunk(2, dim=1)
        return Posterior(
            tap("mean_BCYX", mean_BCYX), tap("log_variance_BCYX", log_variance_BCYX.clamp(*LOG_VARIANCE_LIMITS))
        )


class Decoder(nn.Module):
    """Latents to pixels: the same levels the other way."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        widths = [config.width * multiplier for multiplier in reversed(config.multipliers)]
        self.in_conv = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            nn.Sequential(
                *((nn.Conv2d(widths[i - 1], 4 * width, 1), nn.PixelShuffle(2)) if i else ()),
                *(ResidualBlock(width) for _ in range(config.n_blocks)),
            )
            for i, width in enumerate(widths)
        )
        self.out_conv = nn.Conv2d(widths[-1], config.channels * config.patch**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(config.patch)

    def forward(self, z: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C2 Y2 X2"]:
        """Return pictures."""
        h_BCYX = self.in_conv(z)
        for i, level in enumerate(self.levels):
            h_BCYX = tap(f"level{i}_BCYX", level(h_BCYX))
        return self.shuffle(self.out_conv(F.relu(h_BCYX)).float())


class VAE(nn.Module):
    """Encoder, decoder, and the measured scale of the latents."""

    shift_C: Tensor
    scale_C: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.register_buffer("shift_C", torch.zeros(config.latent_channels))
        self.register_buffer("scale_C", torch.ones(config.latent_channels))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, x: Float[Tensor, "B C Y X"], noise: Float[Tensor, "B C2 Y2 X2"]
    ) -> tuple[Float[Tensor, "B C Y X"], Posterior]:
        """Return pictures that went through a drawn latent, and the distribution it was drawn from."""
        posterior = self.encoder(x.contiguous(memory_format=torch.channels_last))
        return self.decoder(tap("latent_BCYX", posterior.draw(noise))), posterior

    def encode(self, x: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C2 Y2 X2"]:
        """Return the means of the pictures' latents, shifted and scaled as a latent model reads them."""
        return self.scaled(self.encoder(x.contiguous(memory_format=torch.channels_last)).mean_BCYX)

    def decode(self, z: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C2 Y2 X2"]:
        """Return the pictures of latents as a latent model makes them."""
        return self.decoder(z * self.scale_C.view(-1, 1, 1) + self.shift_C.view(-1, 1, 1))

    def scaled(self, mean_BCYX: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C Y X"]:
        """Return (mean - shift) / scale."""
        return (mean_BCYX - self.shift_C.view(-1, 1, 1)) / self.scale_C.view(-1, 1, 1)

    @torch.no_grad()
    def measure_scale(self, x: Float[Tensor, "B C Y X"]) -> None:
        """Set shift and scale so that the latents of these pictures have mean 0 and standard deviation 1, by channel."""
        means = [self.encoder(part.contiguous(memory_format=torch.channels_last)).mean_BCYX for part in x.split(64)]
        mean_BCYX = torch.cat(means)
        self.shift_C.copy_(mean_BCYX.mean(dim=(0, 2, 3)))
        self.scale_C.copy_(mean_BCYX.std(dim=(0, 2, 3)).clamp(min=1e-6))

    @property
    def hash(self) -> str:
        """What a latent model knows its VAE by: a hash of all weights, scale and shift included."""
        return content_hash(
            part
            for name, tensor in sorted(self.state_dict().items())
            for part in (name, tensor.detach().float().cpu().contiguous().numpy().tobytes())
        )
