"""Guidance: the formula, scale 1, the interval, the negative, how often the model is asked, and the parts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cutaway.diffusion.condition import Condition
from cutaway.diffusion.guidance import Guided, Parts

B, C, Y, X = 3, 2, 5, 4


class Toy(nn.Module):
    """Answers with a picture a label, and writes down what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = torch.randn(11, C, Y, X, generator=torch.Generator().manual_seed(0))
        self.rows: list[int] = []

    def forward(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        self.rows.append(len(x))
        assert condition is not None
        assert condition.label_B is not None
        return torch.sin(x) * t.view(-1, 1, 1, 1) + self.answers[condition.label_B]


def asked() -> tuple[Tensor, Tensor]:
    return torch.randn(B, C, Y, X, generator=torch.Generator().manual_seed(1)), torch.full((B,), 0.4)


TOLD = Condition(label_B=torch.tensor([2, 0, 7]))
NOTHING = Condition(label_B=torch.tensor([10]))


def test_the_formula_from_one_call() -> None:
    model, (x, t) = Toy(), asked()
    got = Guided(model, TOLD, NOTHING, scale=3.5)(x, t)
    assert model.rows == [2 * B]
    told, nothing = model(x, t, TOLD), model(x, t, Condition(label_B=torch.full((B,), 10)))
    torch.testing.assert_close(got, nothing + 3.5 * (told - nothing))


def test_scale_one_is_the_conditional_prediction() -> None:
    model, (x, t) = Toy(), asked()
    assert torch.equal(Guided(model, TOLD, NOTHING, scale=1.0)(x, t), model(x, t, TOLD))
    assert model.rows == [B, B]


def test_scale_zero_is_the_unconditional_prediction() -> None:
    model, (x, t) = Toy(), asked()
    got = Guided(model, TOLD, NOTHING, scale=0.0)(x, t)
    assert torch.equal(got, model(x, t, Condition(label_B=torch.full((B,), 10))))


@pytest.mark.parametrize(("time", "is_guided"), [(0.1, False), (0.25, True), (0.5, True), (0.75, True), (0.9, False)])
def test_outside_the_interval_only_the_condition_is_asked(time: float, is_guided: bool) -> None:
    model, (x, t) = Toy(), asked()
    Guided(model, TOLD, NOTHING, scale=4.0, interval=(0.25, 0.75))(x, torch.full_like(t, time))
    assert model.rows == [2 * B if is_guided else B]


def test_a_negative_leads_away_from_itself() -> None:
    model, (x, t) = Toy(), asked()
    negative = Condition(label_B=torch.tensor([5, 5, 6]))
    got = Guided(model, TOLD, negative, scale=2.0)(x, t)
    torch.testing.assert_close(got, 2 * model(x, t, TOLD) - model(x, t, negative))


def test_the_parts_are_handed_out() -> None:
    heard: list[Parts] = []
    model, (x, t) = Toy(), asked()
    for scale in (2.0, 1.0):
        got = Guided(model, TOLD, NOTHING, scale, listen=heard.append)(x, t)
        assert torch.equal(heard[-1].guided, got)
    both, alone = heard
    assert both.t == pytest.approx(0.4)
    assert both.unconditional is not None
    assert torch.equal(both.conditional, alone.conditional)
    assert alone.unconditional is None
    assert alone.guided is alone.conditional
