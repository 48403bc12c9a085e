"""Small playgrounds, and one network of a playground in PyTorch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cutaway.base.errors import CutawayError
from cutaway.scratch.playground import Playground, PlaygroundConfig
from cutaway.scratch.small_network_parameters import State

SIZES = [(1,), (4,), (8, 3), (5, 8, 2)]


def small(**changed: Any) -> PlaygroundConfig:
    return replace(PlaygroundConfig(n_points=20, noise=0.1), **changed)


def same(one: State, other: State) -> bool:
    """Bit for bit."""
    arrays, others = ([state.parameters_KP, *state.memory.values()] for state in (one, other))
    pairs = zip(arrays, others, strict=True)
    return one.step == other.step and all(a.tobytes() == b.tobytes() for a, b in pairs)


class Reference:
    """One network and its loss in PyTorch, float64, by its own losses and entropies."""

    def __init__(self, playground: Playground, network: int) -> None:
        self.config = playground.config
        layers = playground.network.layers(playground.state.parameters_KP)
        self.weights = [(torch.tensor(W[network]), torch.tensor(b[network])) for W, b in layers]
        self.parameters = [p.requires_grad_() for layer in self.weights for p in layer]

    def losses(self, x: np.ndarray, y: np.ndarray) -> torch.Tensor:
        act = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}[self.config.activation]
        self.z, self.a = [], [torch.tensor(x)]
        for n, (W, b) in enumerate(self.weights):
            self.z.append(self.a[-1] @ W.T + b)
            self.a.append(torch.sigmoid(self.z[-1]) if n == len(self.weights) - 1 else act(self.z[-1]))
        for t in (*self.z, *self.a[1:]):
            t.retain_grad()
        a, target = self.a[-1][:, 0], torch.tensor(y)
        if self.config.loss == "cross_entropy":
            loss = torch.nn.functional.binary_cross_entropy(a, target, reduction="none")
        else:
            loss = torch.nn.functional.mse_loss(a, target, reduction="none")
        return loss - self.config.confidence_penalty * torch.distributions.Bernoulli(probs=a).entropy()


def near(ours: np.ndarray, theirs: torch.Tensor | None, tolerance: float = 1e-12) -> None:
    assert theirs is not None
    expected = theirs.detach().numpy()
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-300)


def one_line(error: pytest.ExceptionInfo[CutawayError], words: str) -> None:
    assert words in str(error.value)
    assert "\n" not in str(error.value)
