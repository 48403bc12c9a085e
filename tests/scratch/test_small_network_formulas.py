"""Every formula's text, worked out, is the number it explains."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from cutaway.scratch.playground import Playground, PlaygroundConfig
from cutaway.scratch.small_network_formulas import UNIT_KINDS
from cutaway.scratch.small_network_functions import OPTIMIZERS
from scratch.playgrounds import small


def work_out(text: str) -> float:
    """Work a printed formula out with Python's own functions."""
    words = {
        "sigmoid": lambda z: 1 / (1 + math.exp(-z)), "tanh": math.tanh, "relu": lambda z: max(z, 0.0),
        "softplus": lambda z: math.log1p(math.exp(z)), "exp": math.exp, "sqrt": math.sqrt,
    }  # fmt: skip
    return eval(text, words)


def check_formulas(playground: Playground) -> int:
    """Compare every formula's text, worked out, with the number in the snapshot."""
    count, network, k, point = 0, playground.network, 1, 5
    shot, own = playground.snapshot(), playground.snapshot(point)

    def check(value: float, *args: Any, **kwargs: Any) -> None:
        nonlocal count
        formula = playground.formula(*args, network=k, **kwargs)
        scale = max([abs(value)] + [abs(term.value) for term in formula.terms])
        for found in (formula.value, formula.recomputed, work_out(formula.numbers)):
            assert abs(found - value) <= 1e-14 * scale, formula
        assert all(abs(work_out(term.numbers) - term.value) <= 1e-14 * scale for term in formula.terms)
        count += 1

    check(shot.loss["mean"][k], "loss")
    check(own.loss["loss"][k, 0], "loss", point=point)
    for layer, (o, i, _, _) in enumerate(network.spans, start=1):
        for unit in range(1, o + 1):
            for kind in UNIT_KINDS:
                phase = own.forward if kind in "za" else own.backward
                check(phase[f"{kind}{layer}"][k, 0, unit - 1], kind, layer, unit, point=point)
            for source in [None, *range(1, i + 1)]:
                where = (k, unit - 1, source - 1) if source else (k, unit - 1)
                name = "W" if source else "b"
                check(own.backward[f"dL/d{name}{layer}"][where], "gradient", layer, unit, source, point=point)
                for kind in ("gradient", *OPTIMIZERS[network.optimizer].texts, "new_value"):
                    check(shot.update[f"{name}{layer}"][kind][where], kind, layer, unit, source)
    return count


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_printed_formulas_give_the_numbers(optimizer: str, activation: str, loss: str, penalty: float) -> None:
    config = small(
        hidden=(3, 2), optimizer=optimizer, activation=activation, loss=loss, confidence_penalty=penalty, batch_size=7
    )
    playground = Playground(config, seeds=(0, 6))
    playground.run(4)
    assert check_formulas(playground) > 100


def test_wrong_formulas_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    playground = Playground(small(optimizer="adam"), seeds=(0, 6))
    playground.run(3)
    check_formulas(playground)
    adam = OPTIMIZERS["adam"]
    monkeypatch.setitem(OPTIMIZERS, "adam", replace(adam, texts={**adam.texts, "v_hat": "{v}/(1 - {beta1}**{t})"}))
    with pytest.raises(AssertionError):
        check_formulas(playground)


def test_a_formula_says_symbols_and_all_digits() -> None:
    playground = Playground(small(), points=[(1, 0, 1), (0, 1, 0)])
    for source, value in ((1, 0.3), (2, -0.1), (None, 0.25)):
        playground.set_weight(value, 1, 2, source)
    formula = playground.formula("a", 1, 2, point=0)
    assert formula.name == "a of layer 1, unit 2, point 0"
    assert formula.symbols == "tanh(w1*x1 + w2*x2 + b)"
    assert formula.numbers == "tanh(0.3*1.0 + (-0.1)*0.0 + 0.25)"
    assert formula.value == formula.recomputed == math.tanh(0.55)
    assert [term.symbols for term in formula.terms] == ["w1*x1", "w2*x2", "b"]
    assert playground.formula("gradient", 2, 1, 3).symbols == "mean over the batch of dL/dz*a3"
    assert playground.formula("update", 2, 1, 3).symbols == "-rate*gradient"


def test_a_formula_of_500_points_can_be_written() -> None:
    playground = Playground(PlaygroundConfig(n_points=500))
    formula = playground.formula("gradient", 1, 1, 2)
    assert len(formula.terms) == 500
    assert formula.recomputed == pytest.approx(formula.value, rel=1e-12)
