"""Settings survive the way to paper and back, and paper that does not fit is refused by place."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.base.config import field_docs, from_table, read_toml, to_toml
from cutaway.base.errors import ConfigError
from cutaway.models.config import GPTConfig, LlamaConfig, RotaryScaling
from cutaway.presets import PRESETS
from cutaway.recipe import Recipe


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    recipe = PRESETS[name]()
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(recipe, "heading"), encoding="utf-8")
    assert read_toml(Recipe, path) == recipe


def test_a_union_is_told_apart_by_its_kind() -> None:
    recipe = dataclasses.replace(
        PRESETS["stdlib"](), model=LlamaConfig(rotary_scaling=RotaryScaling(factor=4.0), n_kv_heads=2)
    )
    assert from_table(Recipe, tomllib.loads(to_toml(recipe))) == recipe
    assert isinstance(from_table(Recipe, tomllib.loads(to_toml(PRESETS["stdlib"]()))).model, GPTConfig)


@dataclasses.dataclass(frozen=True)
class Anything:
    """Settings of every kind."""

    number: float | str = 0.0
    """A number or a text."""
    texts: tuple[str, ...] = ()
    """Texts."""
    whole: int | None = None
    """A whole number or nothing."""
    yes: bool = False
    """Yes or no."""


@given(
    st.one_of(st.floats(allow_nan=False), st.text()),
    st.lists(st.text(), max_size=3).map(tuple),
    st.one_of(st.none(), st.integers()),
    st.booleans(),
)
def test_any_text_and_number_survives(
    number: float | str, texts: tuple[str, ...], whole: int | None, yes: bool
) -> None:
    config = Anything(number, texts, whole, yes)
    assert from_table(Anything, tomllib.loads(to_toml(config))) == config


def test_every_setting_of_a_recipe_is_explained() -> None:
    def check(config: object) -> None:
        docs = field_docs(type(config))
        for field in dataclasses.fields(config):  # type: ignore[arg-type]
            assert docs.get(field.name), f"{type(config).__name__}.{field.name} has no docstring"
            if dataclasses.is_dataclass(getattr(config, field.name)):
                check(getattr(config, field.name))

    for preset in PRESETS.values():
        check(preset())
    assert "# Channels of the residual stream." in to_toml(PRESETS["stdlib"]())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\n[model]\nd_modell = 3', "unknown setting 'model.d_modell' (did you mean d_model"),
        ('name = "x"\n[model]\nd_model = "wide"', "model.d_model is 'wide'; expected a whole number"),
        ('name = "x"\n[model]\nkind = "rnn"', "model.kind is 'rnn'; expected one of 'gpt', 'llama'"),
        ('name = "x"\n[train]\noptimizer = "sgdd"', "train.optimizer is 'sgdd'; expected one of"),
        ('name = "x"\n[train]\nminutes = true', "train.minutes is True; expected a number"),
        ('name = "x"\n[model]\nd_model = 10\nn_heads = 3', "cannot be split among model.n_heads 3"),
        ("name = ", "not a readable TOML file"),
    ],
)
def test_what_does_not_fit_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_toml(Recipe, path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
