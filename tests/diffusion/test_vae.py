"""The autoencoder: its divergence equals PyTorch's, its latents are what was measured, a block begins as the identity."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from cutaway.base.errors import ConfigError
from cutaway.base.tap import listening
from cutaway.diffusion.config import VAEConfig
from cutaway.diffusion.vae import VAE, Posterior, ResidualBlock

SMALL = VAEConfig(size=24, channels=2, latent_channels=5, patch=2, width=6, multipliers=(1, 2), n_blocks=1)


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(SMALL)


def pictures(count: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 2, 24, 24, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def random_posterior(seed: int = 0) -> Posterior:
    random = torch.Generator().manual_seed(seed)
    return Posterior(*(torch.randn(3, 5, 6, 6, generator=random, dtype=torch.float64) for _ in range(2)))


def test_kl_equals_torch() -> None:
    posterior = random_posterior()
    believed = Normal(posterior.mean_BCYX, (0.5 * posterior.log_variance_BCYX).exp())
    expected = kl_divergence(believed, Normal(torch.zeros((), dtype=torch.float64), 1.0)).mean()
    torch.testing.assert_close(posterior.kl_nats(), expected, rtol=1e-12, atol=0)


def test_kl_is_zero_only_at_the_normal_distribution() -> None:
    zeros = torch.zeros(1, 2, 3, 3)
    assert Posterior(zeros, zeros).kl_nats() == 0
    assert Posterior(zeros + 0.1, zeros).kl_nats() > 0
    assert Posterior(zeros, zeros - 0.1).kl_nats() > 0


def test_draws_have_the_believed_mean_and_width() -> None:
    posterior = random_posterior()
    random = torch.Generator().manual_seed(1)
    drawn = torch.stack([posterior.draw(torch.randn(3, 5, 6, 6, generator=random)) for _ in range(2000)])
    torch.testing.assert_close(drawn.mean(0), posterior.mean_BCYX, atol=0.3, rtol=0)
    torch.testing.assert_close(drawn.var(0).log(), posterior.log_variance_BCYX, atol=0.2, rtol=0)
    assert torch.equal(posterior.draw(torch.zeros(3, 5, 6, 6)), posterior.mean_BCYX)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        VAEConfig(size=24, channels=3, latent_channels=4, patch=1, width=4, multipliers=(1, 2, 3)),
        VAEConfig(size=16, channels=1, latent_channels=2, patch=4, width=4, multipliers=(1, 1), n_blocks=2),
    ],
)
def test_shapes(config: VAEConfig) -> None:
    vae = VAE(config)
    x = torch.rand(2, config.channels, config.size, config.size)
    edge = config.size // config.factor
    assert config.latent_size == edge
    z = vae.encode(x)
    assert z.shape == (2, config.latent_channels, edge, edge)
    made, posterior = vae(x, torch.randn_like(z))
    assert made.shape == vae.decode(z).shape == x.shape
    assert posterior.mean_BCYX.dtype is made.dtype is torch.float32


def test_a_place_of_the_latent_sees_only_what_is_near(vae: VAE) -> None:
    x, changed = pictures(1), pictures(1)
    changed[..., -1, -1] += 1
    moved = (vae.encode(x) - vae.encode(changed)).abs().amax(dim=(0, 1))
    assert moved[-1, -1] > 0
    assert moved[0, 0] == 0


def test_block_begins_as_the_identity() -> None:
    block = ResidualBlock(4)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)


def test_forward_without_noise_is_decoding_the_mean(vae: VAE) -> None:
    x = pictures()
    made, _ = vae(x, torch.zeros(3, 5, 6, 6))
    vae.measure_scale(x)
    torch.testing.assert_close(vae.decode(vae.encode(x)), made, rtol=1e-4, atol=1e-5)


def test_measured_latents_have_mean_0_and_deviation_1(vae: VAE) -> None:
    x = pictures(70)
    before = vae.encode(x)
    vae.measure_scale(x)
    after = vae.encode(x)
    torch.testing.assert_close(after.mean(dim=(0, 2, 3)), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.std(dim=(0, 2, 3)), torch.ones(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(after * vae.scale_C.view(-1, 1, 1) + vae.shift_C.view(-1, 1, 1), before)
    vae.measure_scale(x)
    torch.testing.assert_close(vae.encode(x), after)


def test_hash_tells_weights_and_scale_apart(vae: VAE) -> None:
    before = vae.hash
    torch.manual_seed(0)
    assert VAE(SMALL).hash == before
    torch.manual_seed(1)
    assert VAE(SMALL).hash != before
    vae.measure_scale(pictures())
    assert vae.hash != before


def test_what_is_inside_has_names(vae: VAE) -> None:
    heard: list[str] = []
    with listening(lambda name, value: heard.append(name)):
        vae(pictures(), torch.zeros(3, 5, 6, 6))
    assert heard == [
        *("level0_BCYX", "level1_BCYX", "mean_BCYX", "log_variance_BCYX", "latent_BCYX"),
        *("level0_BCYX", "level1_BCYX"),
    ]


def test_half_precision_is_near(vae: VAE) -> None:
    x = pictures()
    with torch.autocast("cpu", torch.bfloat16):
        made, posterior = vae(x, torch.zeros(3, 5, 6, 6))
    assert made.dtype is posterior.mean_BCYX.dtype is torch.float32
    torch.testing.assert_close(made, vae(x, torch.zeros(3, 5, 6, 6))[0], atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"size": 30}, "30 is no multiple of 4"),
        ({"kl_weight": -1.0}, "kl_weight is -1.0"),
        ({"edge_weight": float("nan")}, "edge_weight is nan"),
    ],
)
def test_bad_settings_say_so(settings: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        VAEConfig(**settings)  # type: ignore[arg-type]
