"""Plans follow the machine's measured speed, and curves go where they were measured to go."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
import torch
from toy import ToyObjective

from cutaway.train.config import TrainConfig
from cutaway.train.ladder import RUNGS, difficulty
from cutaway.train.pace import measure_pace
from cutaway.train.plan import propose

MEASURED = [
    ("tiny", 919_552, 1.8654), ("tiny", 2_764_800, 1.7084), ("small", 851_968, 1.8687), ("small", 2_846_720, 1.6507),
    ("medium", 1_081_344, 1.7877), ("medium", 2_613_248, 1.6132), ("large", 1_302_528, 1.7318),
    ("large", 2_457_600, 1.6011),
]  # fmt: skip


@pytest.mark.parametrize(("name", "n_tokens", "bits"), MEASURED)
def test_curves_go_through_what_was_measured(name: str, n_tokens: int, bits: float) -> None:
    rung = next(rung for rung in RUNGS if rung.name == name)
    assert rung.bits_per_byte(n_tokens) == pytest.approx(bits, abs=0.01)


def test_more_tokens_and_easier_texts_mean_less_loss() -> None:
    for rung in RUNGS:
        assert rung.bits_per_byte(1e6) > rung.bits_per_byte(1e7) > rung.floor
        assert rung.bits_per_byte(1e6, 1.3) > rung.bits_per_byte(1e6)
    generator = torch.Generator().manual_seed(0)
    noise = "".join(chr(97 + int(n)) for n in torch.randint(26, (20_000,), generator=generator))
    assert difficulty(noise) > 1.3 > difficulty("the same again and again " * 1000)
    assert difficulty("short") == 1.0


def test_a_faster_machine_is_offered_a_bigger_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pace made up per size, the proposal is the size whose curve wins."""

    def proposals(speed: float, seconds: float = 100.0) -> list[Any]:
        def pace(objective: Any, config: TrainConfig, *rest: Any, **more: Any) -> Any:
            import cutaway.train.pace as module

            return module.Pace("float32", 1, False, objective.cost / speed, {})

        monkeypatch.setattr("cutaway.train.plan.measure_pace", pace)

        def make(rung: Any) -> Any:
            objective = ToyObjective()
            objective.cost = rung.n_layers * rung.d_model**2 * rung.batch_size * rung.context_length / 1e9  # type: ignore[attr-defined]
            return objective

        return propose(seconds, make, TrainConfig(minutes=1), torch.device("cpu"), 1.0)

    slow, fast = proposals(0.5), proposals(200.0)
    assert slow[0].rung.d_model < fast[0].rung.d_model
    assert [p.bits_per_byte for p in fast] == sorted(p.bits_per_byte for p in fast)
    assert fast[0].bits_per_byte < slow[0].bits_per_byte
    assert len(fast) == len(RUNGS)


def test_the_fastest_choice_is_taken_and_the_model_stays_as_it_was() -> None:
    objective = ToyObjective()
    before = [p.detach().clone() for p in objective.model.parameters()]
    pace = measure_pace(objective, TrainConfig(steps=1, threads=1), torch.device("cpu"), rounds=2)
    assert pace.seconds_per_step == min(pace.tried.values())
    assert len(pace.tried) == 2
    assert "1 thread" in pace.describe()
    assert all(torch.equal(a, b) for a, b in zip(before, objective.model.parameters(), strict=True))
    fixed = dataclasses.replace(TrainConfig(steps=1, threads=1), precision="float32")
    assert len(measure_pace(objective, fixed, torch.device("cpu"), rounds=1).tried) == 1
    compiled = measure_pace(objective, dataclasses.replace(fixed, compile="off"), torch.device("cpu"), 1e6, rounds=1)
    assert not compiled.compile


class Slow(ToyObjective):
    """Takes a quarter of a second to make a batch that it never made before."""

    def __init__(self) -> None:
        super().__init__()
        self.made: set[int] = set()

    def batch(self, first: int, count: int) -> Any:
        if first not in self.made:
            self.made.add(first)
            time.sleep(0.25)
        return super().batch(first, count)


@pytest.mark.parametrize("precision", ["float32", "auto"])
@pytest.mark.slow
def test_what_is_made_once_and_shown_often_is_not_timed(precision: Any) -> None:
    config = TrainConfig(steps=1, threads=1, precision=precision)
    pace = measure_pace(Slow(), config, torch.device("cpu"), rounds=2)
    assert all(seconds < 0.2 for seconds in pace.tried.values())


@pytest.mark.slow
def test_what_is_made_for_a_share_of_the_steps_is_timed_for_that_share() -> None:
    config = TrainConfig(steps=1, threads=1)
    pace = measure_pace(Slow(), config, torch.device("cpu"), rounds=2, made_anew=0.5)
    assert all(0.125 <= seconds < 0.325 for seconds in pace.tried.values())
    assert pace.seconds_per_step == min(pace.tried.values())
