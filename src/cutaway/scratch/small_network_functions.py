"""What a small network can be made of: activations, losses and optimizers, each beside its formula as text.

The text is a template with the same names as the function's arguments, so that a reader of the playground sees the
arithmetic that is done, with the numbers put in (`small_network_formulas.py`).

Look at `LOSSES`: the loss and its derivative are computed from the sum z as well as from a = sigmoid(z), because a itself
rounds to 0 or 1 when the network is very sure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cutaway.scratch.optimizers import adam_step, momentum_step

FloatArray = NDArray[np.float64]
BETA1, BETA2, EPS, MOMENTUM = 0.9, 0.999, 1e-8, 0.9


def sigmoid(z: FloatArray) -> FloatArray:
    """Squash to between 0 and 1. Far below zero exp overflows, and 1 / infinity is the right answer."""
    return 1 / (1 + np.exp(-z))


def relu(z: FloatArray) -> FloatArray:
    """Cut off what is below zero. (NaN stays NaN.)"""
    return np.maximum(z, 0)


def softplus(z: FloatArray) -> FloatArray:
    """Return log(1 + exp(z)) without overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def entropy(z: FloatArray, a: FloatArray) -> FloatArray:
    """Return the entropy, in nats, of a coin that shows 1 with probability a = sigmoid(z).

    The confidence penalty (Pereyra et al. 2017, arXiv:1701.06548) takes strength * entropy off the loss.
    """
    return a * softplus(-z) + sigmoid(-z) * softplus(z)


ENTROPY_TEXT = "({a}*softplus(-{z}) + sigmoid(-{z})*softplus({z}))"


@dataclass(frozen=True)
class Activation:
    """What a unit does with its sum z, and the slope of that."""

    value: Callable[[FloatArray], FloatArray]
    da_dz: Callable[[FloatArray, FloatArray], FloatArray]
    """From z and a."""
    name: str
    da_dz_text: str


ACTIVATIONS = {
    "sigmoid": Activation(sigmoid, lambda z, a: a * (1 - a), "sigmoid", "{a}*(1 - {a})"),
    "tanh": Activation(np.tanh, lambda z, a: 1 - a * a, "tanh", "1 - {a}*{a}"),
    "relu": Activation(relu, lambda z, a: np.where(z > 0, 1.0, 0.0), "relu", "1 if {z} > 0 else 0"),
}


@dataclass(frozen=True)
class Loss:
    """How wrong an output is, from z, a = sigmoid(z) and the label y, and how that changes with a and with z."""

    value: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    dL_da: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    dL_dz: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    text: str
    dL_da_text: str
    dL_dz_text: str


LOSSES = {
    # -log(a) where y is 1 and -log(1 - a) where it is 0
    "cross_entropy": Loss(
        value=lambda z, a, y: softplus((1 - 2 * y) * z),
        dL_da=lambda z, a, y: np.where(y == 1, -(1 + np.exp(-z)), 1 + np.exp(z)),
        dL_dz=lambda z, a, y: a - y,
        text="softplus((1 - 2*{y})*{z})",
        dL_da_text="(-(1 + exp(-{z})) if {y} == 1 else 1 + exp({z}))",
        dL_dz_text="{a} - {y}",
    ),
    "squared_error": Loss(
        value=lambda z, a, y: (a - y) ** 2,
        dL_da=lambda z, a, y: 2 * (a - y),
        dL_dz=lambda z, a, y: 2 * (a - y) * (a * (1 - a)),
        text="({a} - {y})**2",
        dL_da_text="2*({a} - {y})",
        dL_dz_text="2*({a} - {y})*({a}*(1 - {a}))",
    ),
}


@dataclass(frozen=True)
class Optimizer:
    """How a gradient becomes a change of every weight."""

    rule: Callable[[FloatArray, FloatArray, Mapping[str, FloatArray], int, float], dict[str, FloatArray]]
    """From weights, gradient, memory, number of the step (from 1) and rate: every number it makes, in order."""
    memory: tuple[str, ...]
    """Which of these it remembers for the next step."""
    texts: Mapping[str, str]


def sgd(
    weights: FloatArray, gradient: FloatArray, memory: Mapping[str, FloatArray], t: int, rate: float
) -> dict[str, FloatArray]:
    """Go down the gradient."""
    return {"update": -rate * gradient}


def momentum(
    weights: FloatArray, gradient: FloatArray, memory: Mapping[str, FloatArray], t: int, rate: float
) -> dict[str, FloatArray]:
    """Go down a running sum of gradients."""
    done = momentum_step(gradient, memory["velocity"], rate, MOMENTUM)
    return {"velocity": done.velocity, "update": done.update}


def adam(
    weights: FloatArray, gradient: FloatArray, memory: Mapping[str, FloatArray], t: int, rate: float
) -> dict[str, FloatArray]:
    """Go down the gradients' running mean, each weight at a pace of its own."""
    done = adam_step(weights, gradient, memory["m"], memory["v"], t, rate, BETA1, BETA2, EPS)
    return {"m": done.m, "v": done.v, "m_hat": done.m_hat, "v_hat": done.v_hat, "update": done.update}


OPTIMIZERS = {
    "sgd": Optimizer(sgd, (), {"update": "-{rate}*{gradient}"}),
    "momentum": Optimizer(
        momentum,
        ("velocity",),
        {"velocity": "{momentum}*{velocity_before} + {gradient}", "update": "-{rate}*{velocity}"},
    ),
    "adam": Optimizer(
        adam,
        ("m", "v"),
        {
            "m": "{beta1}*{m_before} + (1 - {beta1})*{gradient}",
            "v": "{beta2}*{v_before} + (1 - {beta2})*{gradient}*{gradient}",
            "m_hat": "{m}/(1 - {beta1}**{t})",
            "v_hat": "{v}/(1 - {beta2}**{t})",
            "update": "-{rate}*{m_hat}/(sqrt({v_hat}) + {eps})",
        },
    ),
}
