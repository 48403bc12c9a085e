"""The recipe of a tuned run is made from a model and a folder of pairs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tune.small import make_base, make_writing

from cutaway.base.config import from_table, to_toml
from cutaway.base.errors import CutawayError
from cutaway.presets_voice import tuned
from cutaway.recipe import Recipe
from cutaway.tune.find_base import base_config


def test_a_recipe_of_model_and_pairs(tmp_path: Path) -> None:
    base, writing = make_base(tmp_path / "base"), make_writing(tmp_path / "voice")
    recipe = tuned(str(base), writing, "full", rank=4)
    assert recipe.model == base_config(base)
    assert recipe.tune
    assert (recipe.tune.base, recipe.tune.method, recipe.tune.rank) == (str(base), "full", 4)
    assert (recipe.data.source, recipe.data.held_out) == tuple(
        str(writing / f"{side}.jsonl") for side in ("train", "held_out")
    )
    assert from_table(Recipe, tomllib.loads(to_toml(recipe))) == recipe
    assert recipe.train.learning_rate < tuned(str(base), writing).train.learning_rate


def test_without_pairs_the_next_command_is_said(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CutawayError, match="cutaway voice pairs"):
        tuned(str(base), tmp_path / "empty")
    with pytest.raises(CutawayError, match="cutaway voice import"):
        tuned(str(base), tmp_path / "nowhere")
