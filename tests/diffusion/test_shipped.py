"""The painter that comes with the package: small, whole, as good as its papers say, and it does what words ask."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
import torch

from cutaway.base.config import read_toml
from cutaway.diffusion.config import PaintSamplingConfig, PicturesConfig, UNetConfig
from cutaway.diffusion.denoising import Denoising
from cutaway.diffusion.latents import Latents
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.painter_folder import load_painter
from cutaway.diffusion.pictures import open_pictures
from cutaway.presets_paint import SHIPPED, latents
from cutaway.recipe_paint import PaintRecipe

QUICK = PaintSamplingConfig(steps=10, sampler="dpm++", guidance=3.0)


@pytest.fixture(scope="module")
def painter() -> Painter:
    return load_painter(SHIPPED)


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 8_000_000


def test_its_hashes_are_those_of_its_files() -> None:
    told = json.loads((SHIPPED / "painter.json").read_text(encoding="utf-8"))
    assert set(told["parts"]) == {"denoiser", "reader", "text", "vae"}
    for part in told["parts"].values():
        assert hashlib.sha256((SHIPPED / part["file"]).read_bytes()).hexdigest() == part["sha256"]


def test_its_recipes_are_ours() -> None:
    recipe = read_toml(PaintRecipe, SHIPPED / "painter_recipe.toml")
    preset = latents()
    assert isinstance(recipe.model, UNetConfig)
    assert isinstance(preset.model, UNetConfig)
    ours, known = recipe.model, preset.model
    assert (ours.patch, ours.width, ours.multipliers) == (known.patch, known.width, known.multipliers)
    assert (recipe.path, recipe.pictures.source, recipe.pictures.size) == (preset.path, "creatures", 64)
    assert read_toml(PaintRecipe, SHIPPED / "text_recipe.toml").name == "paint-text"
    assert read_toml(PaintRecipe, SHIPPED / "vae_recipe.toml").name == "paint-vae"


@pytest.mark.slow
def test_its_held_out_loss_is_the_one_written_beside_it(painter: Painter) -> None:
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    written = float(re.findall(r"held-out loss \| ([\d.]+)", card)[0])
    assert painter.vae is not None
    pictures = Latents(open_pictures(PicturesConfig("creatures", 64, held_out=256)), painter.vae, 64)
    objective = Denoising(painter.denoiser, pictures, painter.path_config, 0, painter.text)
    with torch.no_grad():
        measured = objective.validate(painter.denoiser).loss_nats
    assert measured == pytest.approx(written, rel=0.06)  # on a quarter of the pictures, and in float32


def test_colours_come_out_as_asked(painter: Painter) -> None:
    names = {"red": (0, 2), "blue": (2, 0), "green": (1, 2)}
    pictures = paint(painter, [f"a big {name} bear on a plain background" for name in names], QUICK, [1, 2, 3]).pictures
    for (more, less), picture in zip(names.values(), pictures, strict=True):
        middle = picture[20:52, 20:44].reshape(-1, 3).mean(axis=0)
        assert middle[more] > middle[less] + 40, middle


def test_a_night_is_dark_and_a_meadow_is_not(painter: Painter) -> None:
    night, meadow = paint(painter, ["a pink cat at night", "a pink cat in the meadow"], QUICK, [5, 5]).pictures
    assert night[:12].mean() < 90 < 130 < meadow[:12].mean()
