"""The settings of tuning: limits, rates by width, and their way to paper and into a form."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tomllib
from typing import Any

import pytest

from cutaway.base.config import from_table, to_toml
from cutaway.base.errors import ConfigError
from cutaway.form import form
from cutaway.form_values import fill
from cutaway.presets import PRESETS
from cutaway.recipe import Recipe
from cutaway.text.config import DataConfig
from cutaway.tune.config import TuneConfig, default_epochs, default_rate

PAIRS = DataConfig(source="train.jsonl", documents="conversation", held_out="held_out.jsonl")


@pytest.mark.parametrize(
    "wrong", [{"rank": 0}, {"alpha": 0.0}, {"alpha": float("inf")}, {"lora_dropout": 1.0}, {"context_length": 3}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TuneConfig(**wrong)


def test_corrections_learn_ten_times_as_fast_and_wide_models_slower() -> None:
    assert default_rate("lora", 2048) == pytest.approx(10 * default_rate("full", 2048), rel=0.02)
    assert default_rate("lora4", 2048) == default_rate("lora", 2048)
    widths = [default_rate("full", width) for width in (256, 768, 1600, 4096)]
    assert widths == sorted(widths, reverse=True)
    assert 5e-5 < default_rate("full", 768) < 2e-4


@pytest.mark.parametrize(("method", "n_pairs", "epochs"), [("lora", 3, 10), ("lora", 600, 5), ("lora", 10**6, 2)])
def test_few_pairs_are_read_more_often(method: Any, n_pairs: int, epochs: float) -> None:
    assert default_epochs(method, n_pairs) == epochs
    assert default_epochs("full", n_pairs) <= epochs


def test_a_tuned_recipe_comes_back_as_it_was() -> None:
    tune = TuneConfig(base="gpt2 folder", method="full", projections=("q_proj", "v_proj"))
    recipe = Recipe("voice", data=PAIRS, tune=tune)
    assert from_table(Recipe, tomllib.loads(to_toml(recipe))) == recipe
    assert from_table(Recipe, tomllib.loads(to_toml(PRESETS["names"]()))).tune is None


def test_pairs_and_tuning_belong_together() -> None:
    with pytest.raises(ConfigError, match="nothing is tuned"):
        Recipe("voice", data=PAIRS)
    with pytest.raises(ConfigError, match="expected 'conversation'"):
        Recipe("voice", tune=TuneConfig())
    with pytest.raises(ConfigError, match=r"data\.held_out"):
        Recipe("voice", data=DataConfig(held_out="somewhere.txt"))
    filled = fill(PRESETS["stdlib"](), {"data.documents": "conversation"})
    assert "data.documents" in filled.errors


def test_the_form_of_a_tuned_recipe_asks_for_tuning_and_others_do_not() -> None:
    recipe = Recipe("voice", data=PAIRS, tune=TuneConfig(base="b"))
    (group,) = (group for group in form(recipe) if group.name == "tune")
    asked = [field.path for field in group.fields]
    assert "tune.rank" in asked
    assert "tune.base-hash" not in asked
    assert all(field.doc for field in group.fields)
    assert all(group.name != "tune" for group in form(PRESETS["stdlib"]()))
    filled = fill(recipe, {"tune.rank": "4", "tune.method": "full", "tune.lora-dropout": "2"})
    assert filled.recipe.tune == dataclasses.replace(recipe.tune or TuneConfig(), rank=4, method="full")
    assert "tune.lora-dropout" in filled.errors


def test_settings_need_no_torch() -> None:
    code = "import sys, cutaway.presets_voice, cutaway.tune.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
