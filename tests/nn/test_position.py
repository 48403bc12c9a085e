"""Rotary positions: what turning does to dot products, and Llama 3.1's stretch against transformers."""

from __future__ import annotations

import math

import pytest
import torch

from cutaway.models.config import RotaryScaling
from cutaway.nn.position import NoRotation, Rotary, rotary_frequencies, stretch

B, T, H, G, D = 3, 7, 4, 2, 6


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_turning_is_a_rotation_of_complex_numbers() -> None:
    rotary, q = Rotary(D, 20, 100.0), draw(B, T, H, D)
    turned, _ = rotary(q, draw(B, T, G, D), 5)
    angles = torch.arange(5, 5 + T)[:, None] * torch.tensor([100.0 ** (-2 * i / D) for i in range(D // 2)])
    pairs = torch.complex(q[..., : D // 2], q[..., D // 2 :]) * torch.exp(1j * angles)[None, :, None]
    torch.testing.assert_close(turned, torch.cat([pairs.real, pairs.imag], dim=-1), rtol=1e-5, atol=1e-5)


def test_dot_products_depend_on_the_distance_only() -> None:
    rotary = Rotary(D, 40, 100.0)
    q, k = draw(1, 1, 1, D).expand(1, T, 1, D), draw(1, 1, 1, D, seed=1).expand(1, T, 1, D)
    near, far = (rotary(q, k, start) for start in (0, 30))
    products = [torch.einsum("bthd,bshd->ts", *pair) for pair in (near, far)]
    torch.testing.assert_close(products[0], products[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(products[0].diagonal(3), products[0][0, 3].expand(T - 3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("base", "width", "old_context"), [(500000.0, 64, 8192), (500.0, 16, 32)])
def test_llama3_stretch_equals_transformers(base: float, width: int, old_context: int) -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    settings = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    rope = {"rope_type": "llama3", "rope_theta": base, "original_max_position_embeddings": old_context}
    config = LlamaConfig(hidden_size=width * 2, num_attention_heads=2, rope_parameters=settings | rope)
    theirs, _ = ROPE_INIT_FUNCTIONS["llama3"](config, device="cpu")
    ours = stretch(rotary_frequencies(width, base), RotaryScaling(**settings, original_context_length=old_context))
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, rotary_frequencies(width, base))


def test_the_slowest_pair_is_stretched_by_the_factor_and_the_fastest_not_at_all() -> None:
    frequencies = torch.tensor([1.0, 2 * math.pi / 1000])
    slowed = stretch(frequencies, RotaryScaling(factor=4.0, original_context_length=500))
    torch.testing.assert_close(slowed, torch.tensor([1.0, 2 * math.pi / 4000]))


def test_no_rotation_changes_nothing() -> None:
    q, k = draw(B, T, H, D), draw(B, T, G, D)
    assert NoRotation()(q, k, 3) == (q, k)
