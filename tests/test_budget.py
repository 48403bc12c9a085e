"""A budget becomes a number of steps: by epochs, tokens, or the time a step takes here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cutaway.base.errors import UsageError
from cutaway.budget import seconds_to_train, settled_steps
from cutaway.train.config import TrainConfig


def steps(seconds_per_step: float = 0.1, spent: float = 0.0, **settings: Any) -> int:
    objective: Any = SimpleNamespace(tokens_per_sequence=100, sequences_per_epoch=640)
    return settled_steps(TrainConfig(batch_size=32, **settings), objective, seconds_per_step, spent)


def test_each_kind_of_budget() -> None:
    assert steps(steps=7) == 7
    assert steps(epochs=2.5) == 50
    assert steps(tokens=32_000) == 10
    with pytest.raises(UsageError, match="how long to train is not said"):
        steps()


def test_minutes_cover_measuring_and_what_was_spent() -> None:
    free = steps(minutes=2.0, validation_tokens=1, final_validation_tokens=1)
    assert 1000 < free <= 1200
    assert steps(minutes=2.0, spent=30.0, validation_tokens=1, final_validation_tokens=1) == pytest.approx(
        free - 300, abs=1
    )
    assert steps(minutes=2.0) < free
    assert steps(minutes=2.0, seconds_per_step=0.2) < free / 1.9
    assert steps(minutes=0.001) == 10
    assert 0.9 <= seconds_to_train(0.1) / 6 <= 1
