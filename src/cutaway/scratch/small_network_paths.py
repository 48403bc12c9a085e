"""Path strengths: the product of the weights along every way from an input to the output.

    strength of x1 -> unit 3 -> output  =  W1[3, 1] * W2[1, 3]

Without the activations the network would be the sum of its paths, so this is a first answer to "which units matter?". It
leaves out how far each unit is bent by its activation: a strong path through a flat unit does little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cutaway.scratch.small_network_functions import FloatArray
from cutaway.scratch.small_network_parameters import Network


@dataclass(frozen=True)
class Path:
    """A way through the network, by the unit passed in every layer (the input first), and its strength."""

    units: tuple[int, ...]
    strength: float


def path_strengths(network: Network, parameters_P: FloatArray) -> list[Path]:
    """Return every path from an input to the output, the strongest first."""
    strengths = np.ones(network.sizes[0])
    for W_KOI, _ in network.layers(parameters_P[None]):
        strengths = strengths[..., None] * W_KOI[0].T
    order = np.argsort(-np.abs(strengths), axis=None, kind="stable")
    units = np.stack(np.unravel_index(order, strengths.shape), axis=1) + 1
    return [
        Path(tuple(row), value) for row, value in zip(units.tolist(), strengths.ravel()[order].tolist(), strict=True)
    ]
