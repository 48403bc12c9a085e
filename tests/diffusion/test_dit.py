"""The diffusion transformer: the identity at first, diffusers' own after, words that count and words that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cutaway.base.errors import ConfigError, ShapeError, UsageError
from cutaway.base.tap import listening
from cutaway.bench.paint_peer import diffusers_dit
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import DiTConfig
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.patches import from_patches, sine_positions, to_patches
from cutaway.diffusion.time_embedding import time_waves

CONFIG = DiTConfig(size=12, channels=3, patch=4, d_model=24, n_layers=2, n_heads=4, n_labels=5, d_words=10, d_pooled=7)
LABELS = replace(CONFIG, d_words=0, d_pooled=0)


def trained(config: DiTConfig, seed: int = 0) -> DiT:
    """Return a model none of whose weights is zero."""
    torch.manual_seed(seed)
    model = DiT(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model


def condition(n: int = 3, n_words: int = 6, config: DiTConfig = CONFIG) -> Condition:
    generator = torch.Generator().manual_seed(1)
    mask_BT = torch.arange(n_words) < torch.tensor([6, 2, 4])[:n, None]
    return Condition(
        torch.tensor([0, 4, config.n_labels])[:n],
        torch.randn(n, n_words, config.d_words, generator=generator) if config.d_words else None,
        mask_BT if config.d_words else None,
        torch.randn(n, config.d_pooled, generator=generator) if config.d_pooled else None,
    )


def pictures(n: int = 3, config: DiTConfig = CONFIG) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x_BCYX = torch.randn(n, config.channels, config.size, config.size, generator=generator)
    return x_BCYX, torch.tensor([0.0, 0.25, 0.999])[:n]


def test_patches_are_put_back_where_they_were() -> None:
    x_BCYX = torch.randn(2, 3, 12, 12)
    patches = to_patches(x_BCYX, 4)
    assert torch.equal(patches[1, 5].view(3, 4, 4), x_BCYX[1, :, 4:8, 8:12])
    assert torch.equal(from_patches(patches, 4, 3), x_BCYX)


def test_positions_are_those_of_diffusers() -> None:
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    theirs = embeddings.get_2d_sincos_pos_embed(24, 5, base_size=5, output_type="pt")
    assert torch.allclose(sine_positions(5, 24), theirs.float(), atol=1e-6)


def test_time_waves_are_those_of_diffusers() -> None:
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    t_B = torch.tensor([0.0, 0.25, 0.5, 1.0])
    theirs = embeddings.get_timestep_embedding(1000 * t_B, 256, flip_sin_to_cos=True, downscale_freq_shift=1)
    assert torch.allclose(time_waves(t_B), theirs, atol=1e-4)


@pytest.mark.parametrize("modulation", ["blocks", "shared"])
def test_it_starts_as_the_identity(modulation: str) -> None:
    model = DiT(replace(CONFIG, modulation=modulation))
    heard: dict[str, list[Tensor]] = {}
    with listening(lambda name, value: heard.setdefault(name, []).append(value)):
        out = model(*pictures(), condition())
    assert torch.equal(out, torch.zeros_like(out))
    assert torch.equal(heard["resid_post_BPC"][-1], heard["embed_BPC"][0])
    assert heard["attn_out_BPC"][0].abs().max() > 0  # shut out by the gate, not dead


@pytest.mark.parametrize("modulation", ["blocks", "shared"])
def test_everything_learns_after_two_steps(modulation: str) -> None:
    torch.manual_seed(0)
    model = DiT(replace(CONFIG, modulation=modulation))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    target = torch.randn(3, 3, 12, 12)
    for _ in range(4):
        optimizer.zero_grad()
        (model(*pictures(), condition()) - target).square().mean().backward()
        optimizer.step()
    dead = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not dead


def test_it_is_diffusers_model() -> None:
    pytest.importorskip("diffusers")
    ours = trained(LABELS).double()
    theirs = diffusers_dit(ours).double().eval()
    x_BCYX, t_B = pictures(config=LABELS)
    label_B = torch.tensor([0, 4, 5])  # the last is "no class"
    mine = ours(x_BCYX.double(), t_B, Condition(label_B))
    other = theirs(x_BCYX.double(), timestep=1000 * t_B, class_labels=label_B).sample
    assert mine.std() > 0.1
    assert torch.allclose(mine, other, rtol=1e-6, atol=1e-6)
    mine.square().mean().backward()
    other.square().mean().backward()
    gradient = theirs.transformer_blocks[0].attn1.to_v.weight.grad
    assert torch.allclose(ours.blocks[0].attn.qkv_proj.weight.grad.chunk(3)[2], gradient, rtol=1e-6, atol=1e-6)


def test_a_fault_in_the_peer_is_seen() -> None:
    pytest.importorskip("diffusers")
    ours = trained(LABELS)
    theirs = diffusers_dit(ours).eval()
    with torch.no_grad():
        theirs.transformer_blocks[1].attn1.to_q.weight[0, 0] += 0.5
    x_BCYX, t_B = pictures(config=LABELS)
    label_B = torch.tensor([0, 4, 5])
    other = theirs(x_BCYX, timestep=1000 * t_B, class_labels=label_B).sample
    assert not torch.allclose(
        ours(x_BCYX, t_B, Condition(label_B)), other, atol=1e-4 * float(other.detach().abs().max())
    )


def test_the_peer_says_what_it_has_not() -> None:
    with pytest.raises(UsageError, match="no words"):
        diffusers_dit(DiT(CONFIG))


def test_no_label_is_the_label_of_no_class() -> None:
    model = trained(LABELS)
    x_BCYX, t_B = pictures(config=LABELS)
    assert torch.equal(model(x_BCYX, t_B), model(x_BCYX, t_B, Condition(torch.full((3,), 5))))


def test_pictures_of_a_batch_do_not_touch() -> None:
    model = trained(CONFIG)
    x_BCYX, t_B = pictures()
    asked = condition()
    order = torch.tensor([2, 0, 1])
    shuffled = Condition(*(None if part is None else part[order] for part in asked.parts))
    assert torch.allclose(model(x_BCYX, t_B, asked)[order], model(x_BCYX[order], t_B[order], shuffled), atol=1e-4)


def test_without_positions_patches_may_be_shuffled() -> None:
    model = trained(CONFIG)
    model.positions_PC.zero_()
    x_BCYX, t_B = pictures()
    order = torch.randperm(9)
    shuffled = from_patches(to_patches(x_BCYX, 4)[:, order], 4, 3)
    out = to_patches(model(x_BCYX, t_B, condition()), 4)[:, order]
    assert torch.allclose(out, to_patches(model(shuffled, t_B, condition()), 4), atol=1e-4)


def test_words_behind_the_mask_count_for_nothing() -> None:
    model = trained(CONFIG)
    asked = condition()
    assert asked.words_BTD is not None
    assert asked.mask_BT is not None
    changed = torch.where(asked.mask_BT[..., None], asked.words_BTD, 1e3)
    before, after = (model(*pictures(), replace(asked, words_BTD=words)) for words in (asked.words_BTD, changed))
    assert torch.allclose(before, after, atol=1e-4)
    unmasked = model(*pictures(), replace(asked, words_BTD=changed, mask_BT=None))
    assert not torch.allclose(before[1], unmasked[1], atol=1e-2)


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_caption_without_words_says_nothing(is_heard: bool) -> None:
    model = trained(CONFIG)
    asked = condition()
    empty = replace(asked, mask_BT=torch.zeros(3, 6, dtype=torch.bool))
    heard: dict[str, Tensor] = {}
    if is_heard:
        with listening(lambda name, value: heard.update({name: value.detach()})):
            out = model(*pictures(), empty)
        assert not heard["cross.weights_BHPT"].any()
    else:
        out = model(*pictures(), empty)
    out.sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters() if weight.grad is not None)
    silent = model(*pictures(), replace(asked, words_BTD=None, mask_BT=None))
    assert torch.allclose(out, silent, atol=1e-4)


def test_who_listens_hears_the_same_numbers() -> None:
    model = trained(CONFIG)
    heard: dict[str, list[Tensor]] = {}
    with listening(lambda name, value: heard.setdefault(name, []).append(value)):
        listened = model(*pictures(), condition())
    assert torch.allclose(listened, model(*pictures(), condition()), atol=1e-4)
    weights_BHPT = heard["cross.weights_BHPT"][1]
    assert weights_BHPT.shape == (3, 4, 9, 6)
    assert torch.allclose(weights_BHPT.sum(-1), torch.ones(3, 4, 9))
    assert not weights_BHPT[1, :, :, 2:].any()
    assert heard["scores_BHTS"][0].shape == (3, 4, 9, 9)
    assert len(heard["resid_mid_BPC"]) == 2


def test_shared_modulation_has_fewer_weights() -> None:
    own, shared = (DiT(replace(LABELS, n_layers=6, modulation=kind)) for kind in ("blocks", "shared"))
    counts = [sum(weight.numel() for weight in model.parameters()) for model in (own, shared)]
    a_projection, a_table = 6 * 24 * 24 + 6 * 24, 6 * 24
    assert counts[0] - counts[1] == 5 * a_projection - 6 * a_table


def test_wrong_sizes_are_said() -> None:
    model = DiT(CONFIG)
    x_BCYX, t_B = pictures()
    with pytest.raises(ShapeError, match="the model paints"):
        model(x_BCYX[:, :, :8, :8], t_B)
    with pytest.raises(ShapeError, match="reads words of 10"):
        model(x_BCYX, t_B, Condition(words_BTD=torch.zeros(3, 2, 11)))
    with pytest.raises(ConfigError, match="does not divide"):
        DiTConfig(size=30, patch=4)


def test_of_a_sentence_only_the_direction_steers() -> None:
    model, told, (x_BCYX, t_B) = trained(CONFIG), condition(), pictures()
    assert told.pooled_BE is not None
    before = model(x_BCYX, t_B, told)
    louder = replace(told, pooled_BE=40 * told.pooled_BE)
    torch.testing.assert_close(model(x_BCYX, t_B, louder), before, atol=1e-4, rtol=1e-4)  # lengths round differently
    other = replace(told, pooled_BE=-told.pooled_BE)
    assert not torch.allclose(model(x_BCYX, t_B, other), before)
