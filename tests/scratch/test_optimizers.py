"""Each optimizer beside PyTorch's for fifty steps, and the numbers it says it applied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cutaway.base.errors import UsageError
from cutaway.scratch.array import Array
from cutaway.scratch.optimizers import SGD, Adam, AdamStep, AdamW, MomentumStep, Optimizer, adam_step

PAIRS: dict[str, tuple[Any, dict[str, Any], Any, dict[str, Any]]] = {
    "sgd": (SGD, {}, torch.optim.SGD, {}),
    "momentum": (SGD, {"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
    "adam": (Adam, {"betas": (0.85, 0.99)}, torch.optim.Adam, {"betas": (0.85, 0.99)}),
    "adamw": (AdamW, {"weight_decay": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_fifty_steps_are_pytorchs(name: str) -> None:
    ours_class, ours_settings, theirs_class, theirs_settings = PAIRS[name]
    generator = np.random.default_rng(2)
    start, target = generator.normal(size=(3, 5)), generator.normal(size=(3, 5))
    w = Array(start)
    optimizer: Optimizer = ours_class({"w": w}, 0.05, **ours_settings)
    t = torch.tensor(start, requires_grad=True)
    theirs = theirs_class([t], lr=0.05, **theirs_settings)
    for step in range(50):
        rate = 0.05 * (1 - step / 50)
        (((w - target) ** 2).sum() * 0.5).backward()
        before = w.data
        optimizer.step(rate)
        theirs.param_groups[0]["lr"] = rate
        theirs.zero_grad()
        (((t - torch.tensor(target)) ** 2).sum() * 0.5).backward()
        theirs.step()
        np.testing.assert_allclose(w.data, t.detach(), rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(w.data, before + optimizer.applied["w"].update)  # what is said was applied
    applied = optimizer.applied["w"]
    state = theirs.state[t]
    if isinstance(applied, AdamStep):
        np.testing.assert_allclose(applied.m, state["exp_avg"], rtol=1e-12)
        np.testing.assert_allclose(applied.v, state["exp_avg_sq"], rtol=1e-12)
        np.testing.assert_allclose(applied.m_hat, applied.m / (1 - ours_settings.get("betas", (0.9, 0.999))[0] ** 50))
    elif name == "momentum":
        np.testing.assert_allclose(applied.velocity, state["momentum_buffer"], rtol=1e-12)


def test_a_rule_is_the_same_for_a_number_and_an_array() -> None:
    one = adam_step(0.5, -0.2, 0.1, 0.3, 3, 0.01, weight_decay=0.1)
    many = adam_step(*(np.array([x]) for x in (0.5, -0.2, 0.1, 0.3)), 3, 0.01, weight_decay=0.1)
    for name in AdamStep._fields:
        assert getattr(many, name)[0] == getattr(one, name)


def test_the_first_adam_step_is_the_rate_by_hand() -> None:
    """With both averages corrected the first step is rate * sign(gradient), whatever the gradient's size."""
    for gradient in (3.0, -1e-3):
        applied = adam_step(1.0, gradient, 0.0, 0.0, 1, 0.01)
        assert applied.m_hat == pytest.approx(gradient)
        assert applied.v_hat == pytest.approx(gradient**2)
        assert applied.update == pytest.approx(-0.01 * np.sign(gradient), rel=1e-4)


def test_plain_sgd_has_the_gradient_as_velocity() -> None:
    w = Array([2.0])
    optimizer = SGD({"w": w}, 0.5)
    (w * 3).sum().backward()
    optimizer.step()
    assert isinstance(optimizer.applied["w"], MomentumStep)
    assert optimizer.applied["w"].velocity[0] == 3
    assert w.data[0] == 0.5
    assert w.grad is None


def test_a_step_without_a_gradient_names_the_weight() -> None:
    with pytest.raises(UsageError, match=r"w: no gradient to step by; call backward\(\)"):
        SGD({"w": Array([1.0])}, 0.1).step()
