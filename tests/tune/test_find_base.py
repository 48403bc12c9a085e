"""A base is found by the names people use, and noticed when it changes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tune.small import make_base, tokenizer_of

from cutaway.base.config import to_toml
from cutaway.base.errors import ModelFormatError, RunError, UsageError
from cutaway.interop.adapter_folder import hash_base
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.presets import PRESETS
from cutaway.tune.find_base import base_config, find_base


def test_a_run_a_folder_and_what_is_neither(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "small-1"
    make_base(run / "model")
    (run / "recipe.toml").write_text(to_toml(PRESETS["names"]()))
    folder = make_base(tmp_path / "gpt2", "gpt2")
    assert find_base("small-1") == find_base(str(run)) == run / "model"
    assert find_base(str(folder)) == folder
    with pytest.raises(UsageError, match="not said"):
        find_base("")
    with pytest.raises(ModelFormatError, match="did you mean small-1"):
        find_base("smal-1")
    (run / "model").rename(run / "gone")
    with pytest.raises(RunError, match="no model yet"):
        find_base("small-1")


def test_the_shape_of_a_base_and_of_an_adapters_base(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", "llama")
    config = base_config(base)
    assert dataclasses.asdict(config)["d_ff"] == 48
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    assert base_config(adapter) == config


def test_a_changed_base_is_noticed(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", "gpt2")
    before = hash_base(base)
    assert hash_base(base) == before
    model, _ = load_folder(base)
    model.final_norm.weight.data[3] += 0.5
    save_folder(base, model, tokenizer_of("characters"))
    assert hash_base(base) != before
