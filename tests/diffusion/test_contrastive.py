"""A small CLIP: the loss of transformers, ties in retrieval, and pairs that are found after some steps."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from cutaway.diffusion.config import ContrastiveConfig, TextEncoderConfig
from cutaway.diffusion.contrastive import GREATEST_LOG_SCALE, Contrastive, pair_loss, unit

TEXT = TextEncoderConfig(vocab_size=31, context_length=8, d_model=24, n_layers=1, n_heads=4, d_shared=10)
CONFIG = ContrastiveConfig(size=16, channels=3, width=8, n_levels=2, text=TEXT)


def test_the_loss_is_that_of_transformers() -> None:
    clip = pytest.importorskip("transformers.models.clip.modeling_clip")
    torch.manual_seed(0)
    pictures_BE, captions_BE = F.normalize(torch.randn(5, 10), dim=1), F.normalize(torch.randn(5, 10), dim=1)
    log_scale = torch.tensor(2.0)
    theirs = clip.image_text_contrastive_loss(captions_BE @ pictures_BE.T * log_scale.exp())
    assert torch.allclose(pair_loss(pictures_BE, captions_BE, log_scale), theirs, atol=1e-6)
    assert not torch.allclose(pair_loss(pictures_BE, captions_BE.flip(0), log_scale), theirs, atol=1e-2)


def test_pairs_all_alike_cost_what_a_guess_costs() -> None:
    same_BE = unit(torch.ones(7, 10))
    assert float(pair_loss(same_BE, same_BE, torch.tensor(1.0))) == pytest.approx(math.log(7), abs=1e-6)


def test_the_temperature_has_a_limit() -> None:
    model = Contrastive(CONFIG)
    assert float(model.log_scale.detach().exp()) == pytest.approx(1 / 0.07)
    with torch.no_grad():
        model.log_scale.fill_(9.0)
    pictures_BE, captions_BE = unit(torch.randn(5, 10)), unit(torch.randn(5, 10))
    limited = pair_loss(pictures_BE, captions_BE, torch.tensor(GREATEST_LOG_SCALE))
    assert torch.equal(model.loss(pictures_BE, captions_BE), limited)


def test_vectors_have_length_one() -> None:
    torch.manual_seed(0)
    tokens_BT, mask_BT = torch.randint(31, (3, 8)), torch.ones(3, 8, dtype=torch.bool)
    pictures_BE, captions_BE, _ = Contrastive(CONFIG)(torch.randn(3, 3, 16, 16), tokens_BT, mask_BT)
    for vectors in (pictures_BE, captions_BE):
        assert vectors.shape == (3, 10)
        assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)


def test_a_tokenizers_words_fill_the_config_in() -> None:
    open_config = ContrastiveConfig(size=16, width=8, n_levels=2)
    model = Contrastive(open_config, vocab_size=40)
    assert model.config.text.vocab_size == 40
    assert model.text_encoder.word_embedding.weight.shape == (40, 128)


def test_pairs_are_learned() -> None:
    torch.manual_seed(0)
    model = Contrastive(CONFIG)
    x_BCYX = torch.randn(6, 3, 1, 1).expand(6, 3, 16, 16) + 0.1 * torch.randn(6, 3, 16, 16)
    tokens_BT, mask_BT = torch.arange(48).view(6, 8) % 31, torch.ones(6, 8, dtype=torch.bool)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        pictures_BE, captions_BE, foresight_error = model(x_BCYX, tokens_BT, mask_BT)
        loss = model.loss(pictures_BE, captions_BE) + foresight_error
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 2
    assert losses[-1] < 0.6
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())
