"""What `cutaway bench paint` races: both sides learn and draw the same from the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cutaway.bench import paint_sides, paint_speed
from cutaway.bench.paint_sides import models
from cutaway.bench.paint_speed import Case, draw_case, resolved, train_case
from cutaway.diffusion.config import DiTConfig

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = DiTConfig(size=8, patch=4, d_model=24, n_layers=2, n_heads=4, n_labels=3)
FLOAT32 = Case("step", ("float32", "float32"), 1.2)


@pytest.fixture(autouse=True)
def _has_diffusers() -> None:
    pytest.importorskip("diffusers", reason="diffusers is not installed")


def test_both_sides_have_the_same_losses() -> None:
    race, (apart,) = train_case(FLOAT32, 8, SMALL, 5)
    assert len(race.ours) == len(race.theirs) == 8
    assert 0 <= apart.value < 20
    assert apart.bar == 100


def test_a_side_that_learns_otherwise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paint_sides, "RATE", 3e-2)
    their_stepper = paint_sides.their_stepper

    def slower(*arguments: object) -> object:
        monkeypatch.setattr(paint_sides, "RATE", 1e-2)
        return their_stepper(*arguments)

    monkeypatch.setattr(paint_speed, "their_stepper", slower)
    _, (apart,) = train_case(FLOAT32, 3, SMALL, 5)
    assert apart.value > 1000


def test_both_sides_draw_the_same() -> None:
    race, (worst, mean) = draw_case(replace(FLOAT32, what="drawing {n}"), 2, 4, 2, SMALL)
    assert race.what == "drawing 2, 4 steps"
    assert 0 < mean.value <= worst.value < 0.05
    _, (worst, _) = draw_case(replace(FLOAT32, precisions=("bfloat16", "float32")), 2, 4, 1, SMALL)
    assert 0.05 < worst.value < 10


def test_the_kind_of_gelu_makes_a_difference() -> None:
    _, (worst, _) = draw_case(replace(FLOAT32, activation="gelu-approximate"), 2, 4, 1, SMALL)
    assert worst.value > 0


def test_auto_is_one_that_can_be_had() -> None:
    assert resolved("auto") in ("float32", "bfloat16")
    assert resolved("float32") == "float32"


def test_theirs_drops_no_label() -> None:
    _, theirs = models(SMALL, "gelu")
    assert [m.dropout_prob for n, m in theirs.named_modules() if n.endswith("class_embedder")] == [0.0]
