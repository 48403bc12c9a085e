"""Recipes of pictures beside those of text: written, read, told apart, and every reader of recipes with both."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cutaway.base.config import to_toml
from cutaway.base.errors import ConfigError, RunError
from cutaway.base.runs import RunFolder, create_run
from cutaway.branch import branch_recipe, check_changes
from cutaway.diffusion.config import ContrastiveConfig, DiTConfig, PathConfig, PicturesConfig, UNetConfig, VAEConfig
from cutaway.estimate import estimate_of_pictures, speeds
from cutaway.form import describe_settings, form
from cutaway.form_values import fill
from cutaway.presets import find_recipe, stdlib, with_changes
from cutaway.presets_paint import DIGITS, OTHERS, PHASES, phase_of
from cutaway.recipe_paint import PaintRecipe, read_recipe_file
from cutaway.run_facts import differences, facts, read_recipe, writing_recipe
from cutaway.train.config import TrainConfig

MODELS = [
    UNetConfig(size=16, multipliers=(1, 3)),
    DiTConfig(patch=8, modulation="shared"),
    ContrastiveConfig(width=8),
    VAEConfig(kl_weight=0.5),
]


def recipe(model: Any = MODELS[0], **more: Any) -> PaintRecipe:
    train = TrainConfig(steps=2, ema=0.99)
    return PaintRecipe("creatures", PicturesConfig(size=16), model, PathConfig(path="ddpm"), train=train, **more)


def run_of(recipe: Any, name: str) -> RunFolder:
    run = create_run(name, "")
    run.recipe_file.write_text(to_toml(recipe, "a recipe"))
    return run


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.toml_kind)
def test_it_is_read_as_it_was_written(model: Any, tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_text(to_toml(recipe(model), "What it is."))
    assert 'kind = "paint"' in file.read_text().split("[")[0]
    assert read_recipe_file(file) == find_recipe(str(file)) == recipe(model)
    file.write_text(to_toml(stdlib()))
    assert read_recipe_file(file) == find_recipe(str(file)) == stdlib()


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ConfigError, match="a vae model paints nothing"):
        recipe(VAEConfig(), conditions="labels")
    with pytest.raises(ConfigError, match="expected both 'words' and the run of a text encoder"):
        recipe(conditions="words")
    with pytest.raises(ConfigError, match="expected both"):
        recipe(text="captions-1")
    with pytest.raises(ConfigError, match="a VAE reads it once; expected 0"):
        PaintRecipe("moved", PicturesConfig("digits.gz", shift=1), MODELS[0], vae="paint-vae-1")
    for more in ({"path": PathConfig("ddpm")}, {"vae": "paint-vae-1"}):
        with pytest.raises(ConfigError, match=r"model\.ends is for pixels on the path 'flow'"):
            PaintRecipe("ends", model=UNetConfig(ends=True), **more)
    assert recipe(conditions="words", text="captions-1").paints
    assert not recipe(VAEConfig()).paints


def test_the_facts_of_both_kinds() -> None:
    painter, writer = run_of(recipe(), "painter"), run_of(stdlib(), "writer")
    assert read_recipe(painter) == recipe()
    assert writing_recipe(writer) == stdlib()
    with pytest.raises(RunError, match="'painter' has to do with pictures and writes no text"):
        writing_recipe(painter)
    told = facts(painter)
    assert (told.kind, told.source, told.total_steps, told.bits_per_byte) == ("unet", "creatures", 2, None)
    assert (told.has_model, told.can_paint, told.parameters) == (False, False, None)
    assert facts(writer).kind == "text"
    assert "pictures.size" in differences([painter, writer])
    assert speeds([painter]) == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.toml_kind)
def test_as_a_form(model: Any) -> None:
    groups = {group.name: group for group in form(recipe(model))}
    assert list(groups) == ["pictures", "model", "path", "train", "sampling"]
    assert groups["model"].kind == model.toml_kind
    paths = [one.path for group in groups.values() for one in group.fields]
    assert "pictures.pictures-hash" not in paths
    assert {"vae", "conditions", "train.ema", "sampling.guidance"} <= set(paths)
    assert all(one.doc for group in groups.values() for one in group.fields)
    settings = describe_settings()
    assert all(path.replace("-", "_") in settings for path in paths)

    said = fill(recipe(model), {"train.ema": "0.5", "sampling.n": "0", "pictures.source": "/nowhere"})
    assert said.recipe.train.ema == 0.5
    assert set(said.errors) == {"sampling.n", "pictures.source"}
    assert said.words == ["--train.ema", "0.5", "--pictures.source", "/nowhere"]


def test_every_phase_has_a_recipe_that_can_be_written_and_read(tmp_path: Path) -> None:
    recipes = [phase.make() for phase in (PHASES | OTHERS).values()] + [
        phase.make("digits.gz") for phase in DIGITS.values()
    ]
    minutes = [one.train.minutes for one in recipes[: len(PHASES)]]
    assert sum(filter(None, minutes)) < 115, "all phases in under two hours, with what is measured between them"
    for number, one in enumerate(recipes):
        file = tmp_path / f"{number}.toml"
        file.write_text(to_toml(one))
        assert read_recipe_file(file) == one
        assert form(one)
    assert [phase_of(one) for one in recipes[: len(PHASES)]] == list(PHASES)


def test_a_branch_changes_what_it_may() -> None:
    run = run_of(recipe(), "painter")
    start = branch_recipe(run, 1, run.path.parent)
    assert isinstance(start, PaintRecipe)
    slower = dataclasses.replace(start, train=dataclasses.replace(start.train, learning_rate=1e-4, ema=0.0))
    check_changes(recipe(), slower)
    with pytest.raises(ConfigError, match=r"pictures\.size is 32 but was 16"):
        check_changes(recipe(), dataclasses.replace(start, pictures=PicturesConfig(size=32)))


def test_budgets_and_what_is_known_of_the_cost() -> None:
    short = with_changes(recipe(), dataclasses.replace(recipe(), train=TrainConfig(steps=2, minutes=3)))
    assert (short.train.steps, short.train.minutes) == (None, 3)
    assert estimate_of_pictures(short).seconds == 180
    assert estimate_of_pictures(recipe()).seconds is None


def test_a_writer_is_asked_for_where_a_painter_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    from cutaway.cli.main import main

    run = run_of(recipe(), "painter")
    (run.path / "model").mkdir()
    for words in (["generate", "painter"], ["generate", "painter@5"], ["voice", "report", "painter"]):
        assert main(words) == 1
        assert "writes no text" in capsys.readouterr().err
    from cutaway.workbench import load

    with pytest.raises(RunError, match="writes no text"):
        load("painter")
