"""What a training will take is told from what earlier ones took, and from the shape; or it is said that it cannot be."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cutaway.base.config import to_toml
from cutaway.base.runs import RunFolder
from cutaway.estimate import Speed, estimate, speeds
from cutaway.models.count import count_memory, count_operations
from cutaway.presets import PRESETS
from cutaway.recipe import Recipe


def asked(**train: object) -> Recipe:
    recipe = PRESETS["microgpt"]()
    none = dict.fromkeys(("minutes", "steps", "epochs", "tokens"))
    return dataclasses.replace(recipe, fit=False, train=dataclasses.replace(recipe.train, **{**none, **train}))


def ended(home: Path, name: str, recipe: Recipe, **summary: float) -> RunFolder:
    (home / name).mkdir()
    known = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, vocab_size=27))
    (home / name / "recipe.toml").write_text(to_toml(known))
    run = RunFolder(home / name)
    run.write_summary({"status": "finished", **summary})
    return run


def test_time_is_that_of_a_run_like_it(tmp_path: Path) -> None:
    """A recipe trained twice as long takes twice as long; it is said from which run that is known."""
    recipe = asked(steps=500)
    tokens = 500 * recipe.train.batch_size * recipe.model.context_length
    run = ended(tmp_path, "first", recipe, steps=500, tokens=tokens, seconds=20.0)
    found = estimate(asked(steps=1000), 27, speeds([run]))
    assert found.seconds == pytest.approx(40.0)
    assert "first" in found.seconds_from
    assert estimate(asked(tokens=tokens), 27, speeds([run])).seconds == pytest.approx(20.0)
    assert estimate(asked(minutes=3.0), 27, speeds([run])).seconds == 180.0


def test_the_runs_nearest_in_size_count(tmp_path: Path) -> None:
    recipe = asked(steps=100)
    per_step = recipe.train.batch_size * count_operations(dataclasses.replace(recipe.model, vocab_size=27)).training
    known = [Speed("tiny", 4000, 1e9), Speed("like", 5000, 2e9), Speed("alike", 6000, 3e9), Speed("huge", 10**9, 1e15)]
    found = estimate(recipe, 27, known)
    assert found.seconds == pytest.approx(100 * per_step / 2e9)
    assert "huge" not in found.seconds_from


def test_what_cannot_be_told_is_not_told(tmp_path: Path) -> None:
    recipe = asked(steps=100)
    short = ended(tmp_path, "short", recipe, steps=3, tokens=100, seconds=0.1)
    broken = ended(tmp_path, "broken", recipe, steps=100, tokens=100, seconds=9.0)
    broken.recipe_file.write_text("nonsense = [")
    unended = tmp_path / "unended"
    unended.mkdir()
    assert speeds([short, broken, RunFolder(unended)]) == []
    assert estimate(recipe, 27, []).seconds is None
    assert estimate(asked(epochs=2.0), 27, [Speed("one", 5000, 1e9)]).seconds is None
    fitted = dataclasses.replace(asked(minutes=2.0), fit=True)
    assert estimate(fitted, 27, []).memory_bytes is None


def test_memory_grows_by_what_the_shape_needs() -> None:
    small, large = asked(steps=10, batch_size=8), asked(steps=10, batch_size=80)
    model = dataclasses.replace(small.model, vocab_size=27)
    gained = estimate(large, 27, []).memory_bytes - estimate(small, 27, []).memory_bytes
    true = count_memory(model, 80).training - count_memory(model, 8).training
    assert true <= gained <= 1.5 * true
    parts = asked(steps=10, batch_size=80, accumulate=10)
    assert estimate(parts, 27, []).memory_bytes == estimate(small, 27, []).memory_bytes
    assert json.dumps(dataclasses.asdict(estimate(small, 27, [])))
