"""Painting: a picture depends on its prompt and its seed and on nothing else; bad requests are refused in a line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from cutaway.base.errors import ConfigError, ShapeError, UsageError
from cutaway.diffusion.config import PathConfig
from cutaway.diffusion.guidance import Parts
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.sampler import Step
from cutaway.diffusion.vae import VAE
from diffusion.painters import CAPTIONS, QUICK, label_painter, latent_painter, plain_painter, text_reader, word_painter

PAINTERS = {
    "words": (word_painter, "a red cat"),
    "latent": (latent_painter, "a tiny hat"),
    "labels": (label_painter, "dog"),
    "nothing": (plain_painter, ""),
}


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two pictures differ by rounding at most."""
    return bool((np.abs(a.astype(int) - b.astype(int)) <= 1).all())


@pytest.mark.parametrize("kind", PAINTERS)
def test_a_picture_does_not_depend_on_its_neighbours(kind: str) -> None:
    make, asked = PAINTERS[kind]
    painter = make()
    together = paint(painter, [asked], dataclasses.replace(QUICK, n=4, seed=7))
    assert together.pictures.shape == (4, painter.size, painter.size, painter.channels)
    assert together.seeds == (7, 8, 9, 10)
    alone = paint(painter, [asked], dataclasses.replace(QUICK, n=1, seed=9))
    assert close(together.pictures[2], alone.pictures[0])
    assert not close(together.pictures[0], alone.pictures[0])
    again = paint(painter, [asked], QUICK, seeds=[10, 9])
    assert close(again.pictures[::-1], together.pictures[2:])


@pytest.mark.parametrize("kind", PAINTERS)
def test_many_pictures_are_painted_in_portions_and_are_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, asked = PAINTERS[kind]
    painter, config = make(), dataclasses.replace(QUICK, seed=7)
    prompts = [asked] * 7 if kind != "words" else [CAPTIONS[i % 3] for i in range(7)]
    at_once = paint(painter, prompts, config, keep_frames=True)
    monkeypatch.setattr("cutaway.diffusion.paint.AT_ONCE", 3)
    heard: list[tuple[int, int]] = []
    parts = paint(
        painter, prompts, config, keep_frames=True, on_step=lambda number, step: heard.append((number, len(step.x)))
    )
    assert heard == [(number, rows) for rows in (3, 3, 1) for number in (1, 2, 3)]
    assert parts.seeds == at_once.seeds == tuple(range(7, 14))
    assert (parts.asked, parts.unknown, parts.lost) == (at_once.asked, at_once.unknown, at_once.lost)
    assert close(parts.pictures, at_once.pictures)
    assert [frame.shape for frame in parts.frames] == [frame.shape for frame in at_once.frames]
    assert all(close(*pair) for pair in zip(parts.frames, at_once.frames, strict=True))
    alone = paint(painter, prompts[3:6], config, seeds=[10, 11, 12])  # a portion is what it is alone, to the bit
    assert np.array_equal(parts.pictures[3:6], alone.pictures)


def test_every_picture_has_its_own_prompt() -> None:
    painter = word_painter()
    several = paint(painter, CAPTIONS, QUICK, seeds=[1, 1, 1])
    assert several.asked == tuple(CAPTIONS)
    for caption, picture in zip(CAPTIONS, several.pictures, strict=True):
        assert close(paint(painter, [caption], QUICK, seeds=[1]).pictures[0], picture)
    assert not close(several.pictures[0], several.pictures[1])


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm++"])
def test_guidance_1_is_the_conditional_model_alone(sampler: str) -> None:
    painter = word_painter()
    config = dataclasses.replace(QUICK, guidance=1.0, sampler=sampler)
    heard: list[Parts] = []
    guided = paint(painter, ["a red cat"], config, listen=heard.append)
    assert all(parts.unconditional is None for parts in heard)
    other = paint(painter, ["a red cat"], dataclasses.replace(config, negative="two dogs"))
    assert np.array_equal(guided.pictures, other.pictures)
    stronger = paint(painter, ["a red cat"], dataclasses.replace(config, guidance=6.0))
    assert not close(guided.pictures, stronger.pictures)


def test_guidance_0_forgets_the_prompt() -> None:
    config = dataclasses.replace(QUICK, guidance=0.0)
    one, other = (paint(word_painter(), [prompt], config).pictures for prompt in CAPTIONS[:2])
    assert close(one, other)
    empty = paint(word_painter(), [""], dataclasses.replace(config, guidance=1.0), allow_empty=True).pictures
    assert close(one, empty)


@pytest.mark.parametrize("kind", PAINTERS)
def test_half_precision_paints_nearly_the_same(kind: str) -> None:
    make, asked = PAINTERS[kind]
    exact = paint(make(), [asked], dataclasses.replace(QUICK, guidance=1.5))
    steps: list[Step] = []
    config = dataclasses.replace(QUICK, guidance=1.5, precision="bfloat16")
    rounded = paint(make(), [asked], config, on_step=lambda i, step: steps.append(step))
    assert all(step.x.dtype is torch.float32 for step in steps)
    off = np.abs(exact.pictures.astype(int) - rounded.pictures)
    assert 0 < off.mean() < 4


def test_negative_prompt_takes_the_place_of_the_empty_one() -> None:
    painter = word_painter()
    away = paint(painter, ["a red cat"], dataclasses.replace(QUICK, negative="a blue owl"))
    assert not close(away.pictures, paint(painter, ["a red cat"], QUICK).pictures)


def test_frames_go_from_noise_to_the_picture() -> None:
    painter, steps = latent_painter(), []
    painted = paint(painter, ["a hat"], QUICK, on_step=lambda i, step: steps.append((i, step)), keep_frames=True)
    assert [i for i, _ in steps] == [1, 2, 3]
    assert isinstance(steps[0][1], Step)
    assert steps[-1][1].t == 1
    assert len(painted.frames) == 4
    assert np.array_equal(painted.frames[0], painter.to_pictures(painter.noise([5, 6])))
    assert np.array_equal(painted.frames[-1], painted.pictures)


def test_unknown_words_are_said_and_left_out() -> None:
    painter = word_painter()
    painted = paint(painter, ["a purple red Cat, sparkling"], QUICK)
    assert painted.unknown == (("purple", ",", "sparkling"),) * 2
    assert np.array_equal(painted.pictures, paint(painter, ["a red cat"], QUICK).pictures)


def test_words_without_a_place_are_said() -> None:
    painted = paint(word_painter(), ["a red cat wearing a tiny sparkling blue hat on a beach"], QUICK)
    assert painted.unknown[0] == ("sparkling",)
    assert painted.lost[0] == ("hat", "on", "a", "beach")
    assert paint(word_painter(), ["a red cat"], QUICK).lost == ((), ())


def test_labels_by_name_or_number() -> None:
    painter = label_painter()
    by_name = paint(painter, ["cat", "owl"], QUICK)
    assert np.array_equal(by_name.pictures, paint(painter, [0, 2], QUICK).pictures)
    assert np.array_equal(by_name.pictures, paint(painter, ["0", "2"], QUICK).pictures)
    assert not close(by_name.pictures, paint(painter, ["dog"], QUICK).pictures)
    assert paint(painter, [""], QUICK, allow_empty=True).pictures.shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
    ("kind", "asked", "says"),
    [
        ("words", [""], "the prompt is empty"),
        ("words", ["a cat", "  "], "the prompt is empty"),
        ("words", ["qwertz uiop"], "not one word of 'qwertz uiop' is known"),
        ("words", [], "nothing was asked for"),
        ("words", "a cat", "a list of prompts is expected"),
        ("labels", ["cow"], "no label 'cow'; expected one of cat, dog, owl"),
        ("labels", [3], "label 3 is not there; expected 0 to 2"),
        ("labels", ["-1"], "no label '-1'"),
        ("labels", [""], "the prompt is empty"),
        ("nothing", ["a cat"], "trained without labels and words"),
    ],
)
def test_bad_requests(kind: str, asked: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        paint(PAINTERS[kind][0](), asked, QUICK)
    assert "\n" not in str(error.value)


def test_bad_settings() -> None:
    painter = word_painter()
    with pytest.raises(UsageError, match="2 prompts and 3 seeds"):
        paint(painter, ["a cat", "a dog"], QUICK, seeds=[1, 2, 3])
    with pytest.raises(UsageError, match="not one word of 'xyz'"):
        paint(painter, ["a cat"], dataclasses.replace(QUICK, negative="xyz"))
    with pytest.raises(ConfigError, match="guidance is 1000"):
        dataclasses.replace(QUICK, guidance=1000.0)


def test_parts_that_do_not_fit() -> None:
    latent = latent_painter()
    assert latent.vae is not None
    smaller = VAE(dataclasses.replace(latent.vae.config, latent_channels=4))
    with pytest.raises(ConfigError, match="wrong VAE"):
        dataclasses.replace(latent, vae=smaller)
    with pytest.raises(ConfigError, match="reads words"):
        dataclasses.replace(latent, text=None)
    with pytest.raises(ConfigError, match="3 labels, but 2 names"):
        Painter(label_painter().denoiser, PathConfig(), names=("cat", "dog"))
    with pytest.raises(ShapeError, match="paints"):
        latent.from_pictures(np.zeros((1, 8, 8, 3), dtype=np.uint8))


def test_pictures_go_through_the_vae_and_back() -> None:
    painter = latent_painter()
    assert painter.vae is not None
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    x_BCYX = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    z_BCYX = painter.from_pictures(pictures)
    torch.testing.assert_close(z_BCYX, painter.vae.encode(x_BCYX))
    with torch.no_grad():
        shown = ((painter.vae.decode(z_BCYX) + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1)
    assert np.array_equal(painter.to_pictures(z_BCYX), shown.numpy().astype(np.uint8))
    plain = word_painter()
    small = pictures[:, :8, :8]
    assert np.array_equal(plain.to_pictures(plain.from_pictures(small)), small)


def test_painter_reads_each_prompt_alone() -> None:
    painter = word_painter()
    told = painter.told(CAPTIONS)
    alone = text_reader()([CAPTIONS[1]])
    assert told.condition.words_BTD is not None
    assert alone.words_BTD is not None
    torch.testing.assert_close(told.condition.words_BTD[1], alone.words_BTD[0])
