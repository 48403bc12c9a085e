"""Optimizers: from gradients to a change of the weights.

    SGD        p <- p - rate * g
    momentum   b <- momentum * b + g;   p <- p - rate * b                              Polyak 1964
    Adam       m <- beta1 * m + (1 - beta1) * g;   v <- beta2 * v + (1 - beta2) * g^2
               p <- p - rate * m_hat / (sqrt(v_hat) + eps),  m_hat = m / (1 - beta1^t),  v_hat = v / (1 - beta2^t)
                                                           Kingma and Ba 2014, arXiv:1412.6980, algorithm 1
    AdamW      the same, and first p <- p - rate * decay * p      Loshchilov and Hutter 2017, arXiv:1711.05101

Each rule is a function of plain numbers or whole arrays that returns every number on its way, so what is shown is what
was applied. t counts steps from 1. The corrected m_hat and v_hat make up for m and v starting at zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.scratch.array import Array
from cutaway.scratch.ops import FloatArray

Numbers = TypeVar("Numbers", float, FloatArray)


class MomentumStep(NamedTuple, Generic[Numbers]):
    """What a step of SGD with momentum computed; without momentum `velocity` is the gradient."""

    gradient: Numbers
    velocity: Numbers
    update: Numbers
    """What is added to the weight."""


class AdamStep(NamedTuple, Generic[Numbers]):
    """What a step of Adam computed."""

    gradient: Numbers
    m: Numbers
    v: Numbers
    m_hat: Numbers
    v_hat: Numbers
    decay: Numbers
    """What AdamW takes off the weight: rate * weight_decay * weight (0 in Adam)."""
    update: Numbers
    """What is added to the weight, the decay included."""


def momentum_step(gradient: Numbers, velocity: Numbers, rate: float, momentum: float) -> MomentumStep[Numbers]:
    """Return one step of SGD with momentum (0: plain SGD)."""
    velocity = momentum * velocity + gradient
    return MomentumStep(gradient, velocity, -rate * velocity)


def adam_step(
    weight: Numbers,
    gradient: Numbers,
    m: Numbers,
    v: Numbers,
    step: int,
    rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> AdamStep[Numbers]:
    """Return one step of Adam, or with a weight decay of AdamW.

    Args:
        step: 1 for the first.
    """
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * gradient * gradient
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    decay = rate * weight_decay * weight
    return AdamStep(gradient, m, v, m_hat, v_hat, decay, -rate * m_hat / (v_hat**0.5 + eps) - decay)


Applied = MomentumStep[FloatArray] | AdamStep[FloatArray]


@dataclass
class Optimizer:
    """Changes weights by their gradients, and keeps the numbers of the last step as it applied them.

    All weights are put end to end, so that a step is one rule on one long row of numbers.

    Raises:
        UsageError: a weight has no gradient when `step` is called.
    """

    parameters: Mapping[str, Array]
    rate: float
    count: int = field(default=0, init=False)
    """Steps made."""
    last: Applied | None = field(default=None, init=False)
    """The numbers of the last step, all weights end to end."""

    def step(self, rate: float | None = None) -> None:
        """Change every weight once, then forget the gradients.

        Args:
            rate: the learning rate of this step; left out: the optimizer's own.
        """
        weights = self.parameters.values()
        gradients = [p.grad for p in weights if p.grad is not None]
        if len(gradients) < len(weights):
            missing = [name for name, p in self.parameters.items() if p.grad is None]
            raise UsageError(f"{', '.join(missing)}: no gradient to step by; call backward() on the loss first")
        self.count += 1
        row = np.concatenate([p.data for p in weights], axis=None)
        self.last = self.rule(row, np.concatenate(gradients, axis=None), self.rate if rate is None else rate)
        row = row + self.last.update
        start = 0
        for p in weights:
            p.data = row[start : start + p.data.size].reshape(p.shape)
            p.grad = None
            start += p.data.size

    @property
    def applied(self) -> dict[str, Applied]:
        """The numbers of the last step, by the name of the weight."""
        found: dict[str, Applied] = {}
        start = 0
        for name, p in self.parameters.items():
            own = slice(start, start + p.data.size)
            if self.last is not None:
                found[name] = type(self.last)(*(numbers[own].reshape(p.shape) for numbers in self.last))
            start += p.data.size
        return found

    def rule(self, weights: FloatArray, gradients: FloatArray, rate: float) -> Applied:
        """Return the numbers of one step."""
        raise NotImplementedError


@dataclass
class SGD(Optimizer):
    """Down the gradient; with momentum, down a running sum of gradients."""

    momentum: float = 0.0

    def rule(self, weights: FloatArray, gradients: FloatArray, rate: float) -> Applied:
        """Return the numbers of one step."""
        velocity = self.last.velocity if isinstance(self.last, MomentumStep) else np.zeros_like(gradients)
        return momentum_step(gradients, velocity, rate, self.momentum)


@dataclass
class Adam(Optimizer):
    """Down the running mean of the gradients, each weight at a pace set by the running mean of their squares."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    """Above zero this is AdamW."""

    def rule(self, weights: FloatArray, gradients: FloatArray, rate: float) -> Applied:
        """Return the numbers of one step."""
        if isinstance(self.last, AdamStep):
            m, v = self.last.m, self.last.v
        else:
            m = v = np.zeros_like(gradients)
        beta1, beta2 = self.betas
        return adam_step(weights, gradients, m, v, self.count, rate, beta1, beta2, self.eps, self.weight_decay)


@dataclass
class AdamW(Adam):
    """Adam that also lets every weight shrink a little."""

    weight_decay: float = 0.01
