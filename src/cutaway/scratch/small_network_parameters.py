"""The weights of small networks: where each one lies, how they begin, and the state that training changes.

All weights and biases of a network are one row of P numbers: layer by layer, first W, row by row, then b. So one
optimizer rule updates all at once, and K networks side by side are an array of shape (K, P).

Look at `Network.layers`: the matrices that the passes use are views of that row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cutaway.scratch.checks import whole
from cutaway.scratch.small_network_functions import ACTIVATIONS, OPTIMIZERS, Activation, FloatArray

Layer = tuple[FloatArray, FloatArray]
"""W_KOI and b_KO."""


@dataclass(frozen=True)
class Network:
    """The settings of a network and of how it learns."""

    sizes: tuple[int, ...]
    """Units of every layer: inputs first, the one output last."""
    activation: str
    loss: str
    confidence_penalty: float
    optimizer: str
    learning_rate: float

    @cached_property
    def spans(self) -> list[tuple[int, int, int, int]]:
        """For each layer: its units, what they read, and where its W and then its b begin in the row."""
        spans, start = [], 0
        for i, o in zip(self.sizes, self.sizes[1:], strict=False):
            spans.append((o, i, start, start + o * i))
            start += o * i + o
        return spans

    def layers(self, numbers_KP: FloatArray) -> list[Layer]:
        """Return views of a row as every layer's W_KOI and b_KO."""
        return [(numbers_KP[:, w:b].reshape(-1, o, i), numbers_KP[:, b : b + o]) for o, i, w, b in self.spans]

    def in_one_row(self, layers: Iterable[Layer]) -> FloatArray:
        """Return every layer's W and b end to end: the inverse of `layers`."""
        return np.concatenate([part.reshape(len(part), -1) for layer in layers for part in layer], axis=1)

    def position(self, layer: int, unit: int, source: int | None) -> int:
        """Return where in the row a weight is; with source None, a unit's bias.

        Raises:
            UsageError: there is no such layer, unit or source.
        """
        whole(layer, "layer", 1, len(self.spans))
        o, i, w, b = self.spans[layer - 1]
        whole(unit, f"unit of layer {layer}", 1, o)
        if source is None:
            return b + unit - 1
        whole(source, f"source of a weight of layer {layer}", 1, i)
        return w + (unit - 1) * i + source - 1

    def places(self) -> list[tuple[int, int, int | None]]:
        """Return layer, unit and source (None: the bias) of every number of the row: the inverse of `position`."""
        found: list[tuple[int, int, int | None]] = []
        for layer, (o, i, _, _) in enumerate(self.spans, start=1):
            found += [(layer, unit, source) for unit in range(1, o + 1) for source in range(1, i + 1)]
            found += [(layer, unit, None) for unit in range(1, o + 1)]
        return found

    def activation_of(self, layer: int) -> Activation:
        """Return what the units of a layer do with their sum."""
        return ACTIVATIONS["sigmoid" if layer == len(self.spans) else self.activation]


@dataclass(frozen=True)
class State:
    """All that training changes: for K networks the weights and biases, the optimizer's memory, the steps made."""

    step: int
    parameters_KP: FloatArray
    memory: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        for array in (self.parameters_KP, *self.memory.values()):
            array.setflags(write=False)  # history keeps states, not copies of them

    def only(self, rows: list[int], before: State) -> State:
        """Return this state for some of the networks, and the one before for the rest."""
        is_new_K1 = np.isin(np.arange(len(self.parameters_KP)), rows)[:, None]
        memory = {name: np.where(is_new_K1, array, before.memory[name]) for name, array in self.memory.items()}
        return State(self.step, np.where(is_new_K1, self.parameters_KP, before.parameters_KP), memory)


def draw_weights(network: Network, rng: np.random.Generator) -> FloatArray:
    """Draw the row of one network: uniform, as wide as keeps the size of activations; biases half as wide.

    Glorot and Bengio 2010 for sigmoid and tanh, He et al. 2015 (arXiv:1502.01852) for ReLU.
    """
    pieces = []
    for o, i, _, _ in network.spans:
        reach = math.sqrt(6 / i) if network.activation == "relu" else math.sqrt(6 / (i + o))
        pieces += [rng.uniform(-reach, reach, o * i), rng.uniform(-reach, reach, o) * 0.5]
    return np.concatenate(pieces)


def first_state(network: Network, rngs: Iterable[np.random.Generator]) -> State:
    """Return the state before the first step, one network for each generator."""
    parameters_KP = np.stack([draw_weights(network, rng) for rng in rngs])
    return State(
        0, parameters_KP, {name: np.zeros_like(parameters_KP) for name in OPTIMIZERS[network.optimizer].memory}
    )
