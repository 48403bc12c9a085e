"""Every number of a training step, by name, in the order it was computed.

    forward    a of layer 0, then z and a of each layer         loss      of every point
    backward   dL/da, da/dz, dL/dz, dL/dW, dL/db, from the output to the first layer
    update     before, what the optimizer remembers, its own numbers in order, new_value

Look at `pass_numbers` and `update_numbers`: a snapshot shows them, and the search for what blew up first follows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cutaway.scratch.small_network import Pass, Step, losses
from cutaway.scratch.small_network_functions import FloatArray

Phase = Literal["forward", "loss", "backward", "update"]


@dataclass(frozen=True)
class Named:
    """One array of a step: its phase, its symbol, its layer, and what its axes after K are."""

    phase: Phase
    symbol: str
    layer: int
    axes: Literal["points", "points and units", "W", "b"]
    array: FloatArray

    def name_at(self, index: tuple[int, ...], points: NDArray[np.intp]) -> str:
        """Return the name of one number, such as "dL/dW of layer 2, unit 1 from 3"; index is without K."""
        if self.axes == "points":
            return f"{self.symbol} of point {points[index[0]]}"
        if self.axes == "points and units":
            return f"{self.symbol} of layer {self.layer}, unit {index[1] + 1}, point {points[index[0]]}"
        return parameter_name(self.symbol, self.layer, index[0] + 1, index[1] + 1 if self.axes == "W" else None)


def parameter_name(symbol: str, layer: int, unit: int, source: int | None) -> str:
    """Return the name of a number that belongs to a weight, or with source None to a bias."""
    return f"{symbol} of layer {layer}, " + (f"unit {unit} from {source}" if source else f"bias of unit {unit}")


def pass_numbers(done: Pass) -> Iterator[Named]:
    """Go through every array of the forward and backward pass."""
    run, back, last = done.run, done.back, len(done.layers)
    yield Named("forward", "a", 0, "points and units", run.a[0])
    for layer in range(1, last + 1):
        yield Named("forward", "z", layer, "points and units", run.z[layer])
        yield Named("forward", "a", layer, "points and units", run.a[layer])
    yield Named("loss", "loss", last, "points", losses(done.network, run, done.y_KBO))
    for layer in range(last, 0, -1):
        if layer < last:
            yield Named("backward", "dL/da", layer, "points and units", back.dL_da[layer])
            yield Named("backward", "da/dz", layer, "points and units", back.da_dz[layer])
        yield Named("backward", "dL/dz", layer, "points and units", back.dL_dz[layer])
        yield Named("backward", "dL/dW", layer, "W", back.dL_dW[layer])
        yield Named("backward", "dL/db", layer, "b", back.dL_db[layer])


def update_table(step: Step) -> dict[str, FloatArray]:
    """Return what the update starts from and all it computes, each of shape (K, P)."""
    memory = {f"{name}_before": array for name, array in step.before.memory.items()}
    return {"before": step.before.parameters_KP, **memory, **step.update}


def update_numbers(step: Step) -> Iterator[Named]:
    """Go through every array of the update, layer by layer."""
    for symbol, array_KP in update_table(step).items():
        for layer, (W_KOI, b_KO) in enumerate(step.batch.network.layers(array_KP), start=1):
            yield Named("update", symbol, layer, "W", W_KOI)
            yield Named("update", symbol, layer, "b", b_KO)
