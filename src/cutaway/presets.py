"""Presets: functions that return a recipe. Importing this loads nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cutaway.base.errors import ConfigError, UsageError, suggest
from cutaway.generate.config import SamplingConfig
from cutaway.models import presets as shapes
from cutaway.models.config import GPTConfig
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe, read_recipe_file
from cutaway.text.config import DataConfig
from cutaway.train.config import TrainConfig

CHARACTER_RATES: dict[str, Any] = {
    "learning_rate": 0.01,
    "muon_learning_rate": 0.02,
    "ngram_learning_rate": 0.05,
    "weight_decay": 0.0,
    "epsilon": 1e-10,
    "warmup_fraction": 0.01,
    "decay_fraction": 0.7,
    "clip_norm": 0.0,
}
"""The rates of Muon, AdamW and the n-gram tables for text by character (docs/log.md)."""


def characters(data: DataConfig, seconds: float, seed: int = 0) -> Recipe:
    """Our default for any text by character: n-gram tables, Muon, a rate that falls to zero."""
    return Recipe(
        name="characters",
        data=data,
        model=shapes.characters(),
        train=TrainConfig(minutes=seconds / 60, batch_size=32, **CHARACTER_RATES, seed=seed),
        generate=SamplingConfig(max_tokens=240, temperature=0.7),
    )


def stdlib() -> Recipe:
    """A character GPT on the standard library of this Python, sized for two minutes on this machine."""
    return Recipe(
        name="stdlib",
        data=DataConfig(source="stdlib"),
        model=shapes.characters(context_length=256),
        train=TrainConfig(minutes=2.0, batch_size=16, **CHARACTER_RATES),
        generate=SamplingConfig(max_tokens=240, temperature=0.7),
        fit=True,
        prompt="def ",
    )


def stdlib_full() -> Recipe:
    """The full size: 8 layers, 512 wide, context 512, five epochs over 1,000 files. For a GPU or a patient night."""
    return Recipe(
        name="stdlib_full",
        data=DataConfig(source="stdlib", max_files=1000),
        model=GPTConfig(d_model=512, n_layers=8, n_heads=8, context_length=512, dropout=0.1),
        train=TrainConfig(epochs=5, batch_size=64),
        generate=SamplingConfig(max_tokens=400, temperature=0.7),
        prompt="def ",
    )


def shakespeare() -> Recipe:
    """A megabyte of plays by character, to a loss of 1.47: give the text with --data.source tinyshakespeare.txt."""
    rates = {**CHARACTER_RATES, "weight_decay": 0.1, "ngram_learning_rate": 0.1}
    return Recipe(
        name="shakespeare",
        data=DataConfig(source="tinyshakespeare.txt"),
        model=shapes.characters(d_model=256, context_length=256, ngram_dropout=0.5, dropout=0.1),
        train=TrainConfig(minutes=18, batch_size=16, **rates),
        generate=SamplingConfig(max_tokens=400, temperature=0.7),
        prompt="ROMEO:",
    )


def names() -> Recipe:
    """A small model that invents names of functions, or of what --data.source lists, one a line."""
    return Recipe(
        name="names",
        data=DataConfig(source="stdlib_names", documents="line"),
        model=shapes.characters(64, 2, 2, context_length=32, ngram_rows=(4096, 8192, 8192), ngram_dropout=0.25),
        train=TrainConfig(minutes=0.5, batch_size=64, **CHARACTER_RATES),
        generate=SamplingConfig(max_tokens=100, temperature=0.8),
    )


def microgpt() -> Recipe:
    """The smallest useful GPT: 1 layer, 16 wide, 4 heads, context 16, made as plainly as possible, inventing names."""
    return Recipe(
        name="microgpt",
        data=DataConfig(source="stdlib_names", documents="line"),
        model=shapes.microgpt(),
        train=TrainConfig(
            steps=1000,
            batch_size=16,
            optimizer="adamw",
            learning_rate=0.01,
            weight_decay=0.0,
            beta1=0.85,
            beta2=0.99,
            schedule="linear",
            warmup_fraction=0.0,
            clip_norm=0.0,
        ),
        generate=SamplingConfig(max_tokens=100, temperature=0.5),
    )


def _large(name: str, shape: Callable[[], Any], batch_size: int, learning_rate: float) -> Callable[[], Recipe]:
    def recipe() -> Recipe:
        return Recipe(
            name=name,
            data=DataConfig(source="stdlib", tokenizer="bpe", bpe_vocab_size=8192),
            model=dataclasses.replace(shape(), vocab_size=None, context_length=1024, rotary_scaling=None),
            train=TrainConfig(epochs=1, batch_size=batch_size, optimizer="adamw", learning_rate=learning_rate),
            generate=SamplingConfig(max_tokens=200, temperature=0.8),
            prompt="def ",
        )

    recipe.__doc__ = f"{(shape.__doc__ or '').strip()} From random weights, its shape with a tokenizer of your text."
    return recipe


PRESETS: dict[str, Callable[[], Recipe]] = {
    "stdlib": stdlib,
    "stdlib_full": stdlib_full,
    "shakespeare": shakespeare,
    "names": names,
    "microgpt": microgpt,
    "gpt2": _large("gpt2", shapes.gpt2, 32, 6e-4),
    "gpt2_medium": _large("gpt2_medium", shapes.gpt2_medium, 32, 3e-4),
    "gpt2_large": _large("gpt2_large", shapes.gpt2_large, 32, 2.5e-4),
    "gpt2_xl": _large("gpt2_xl", shapes.gpt2_xl, 32, 2e-4),
    "llama_tiny": _large("llama_tiny", shapes.llama_tiny, 16, 1e-3),
    "llama3_1b": _large("llama3_1b", shapes.llama3_1b, 32, 3e-4),
    "llama3_3b": _large("llama3_3b", shapes.llama3_3b, 32, 3e-4),
    "llama3_8b": _large("llama3_8b", shapes.llama3_8b, 32, 3e-4),
}


def find_recipe(target: str) -> Recipe | PaintRecipe:
    """Return the recipe of a preset's name or of a recipe file, which may be one of pictures.

    Raises:
        UsageError: neither a preset nor a file.
        ConfigError: the file does not hold a recipe.
    """
    if target in PRESETS:
        return PRESETS[target]()
    path = Path(target)
    if path.suffix == ".toml":
        if not path.is_file():
            raise UsageError(f"there is no recipe file {target!r} (looked from {Path.cwd()})")
        recipe = read_recipe_file(path)
        budgets = given_budgets(recipe.train)
        if len(budgets) > 1:
            both = " and ".join(f"train.{budget}" for budget in budgets)
            raise ConfigError(f"{path}: {both} are both set; expected one budget")
        return recipe
    if path.exists():
        raise UsageError(
            f"{target!r} is neither a recipe (.toml) nor a run's folder; "
            f"to train on its text: cutaway train stdlib --data.source {target}"
        )
    raise UsageError(
        f"there is no preset, recipe file or run {target!r}{suggest(target, PRESETS)}; presets: {', '.join(PRESETS)}"
    )


def given_budgets(train: TrainConfig) -> list[str]:
    """Return which of the ways to say how long to train are set."""
    return [name for name in ("minutes", "steps", "epochs", "tokens") if getattr(train, name) is not None]


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe | PaintRecipe)


def with_changes(recipe: AnyRecipe, changed: AnyRecipe) -> AnyRecipe:
    """Return `changed`, a recipe made from `recipe` by setting fields, with a newly set budget in place of the old one.

    Raises:
        ConfigError: two budgets were set.
    """
    old, new = given_budgets(recipe.train), given_budgets(changed.train)
    set_now = [b for b in new if getattr(changed.train, b) != getattr(recipe.train, b)]
    if len(set_now) > 1:
        raise ConfigError(f"{' and '.join(f'train.{b}' for b in set_now)} are both set; expected one budget")
    if set_now:
        dropped: dict[str, Any] = {name: None for name in old if name not in set_now}
        changed = dataclasses.replace(changed, train=dataclasses.replace(changed.train, **dropped))
    if isinstance(changed, Recipe) and (
        changed.model != recipe.model or changed.train.batch_size != recipe.train.batch_size
    ):
        return dataclasses.replace(changed, fit=False)  # a size given by hand stays as it is
    return changed
