"""A moment of a playground: the networks and points as they are now, and everything that can be looked at.

scores      loss and share of right answers                snapshot   all numbers of the step that leads on from here
boundary    the networks' outputs over the whole plane     formula    how one of these numbers is made
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cutaway.base.errors import UsageError, suggest
from cutaway.scratch.checks import plain, whole
from cutaway.scratch.playground_data import DataSet
from cutaway.scratch.small_network import Pass, Step, forward, losses, output_chain, run_pass, train_step
from cutaway.scratch.small_network_formulas import (
    UNIT_KINDS,
    Formula,
    gradient_formula,
    loss_formula,
    unit_formula,
    update_formula,
)
from cutaway.scratch.small_network_functions import OPTIMIZERS, FloatArray
from cutaway.scratch.small_network_numbers import pass_numbers, update_numbers
from cutaway.scratch.small_network_parameters import Network, State


@dataclass(frozen=True)
class Scores:
    """How well each network does; on held-out points None when there are none."""

    loss_K: FloatArray
    accuracy_K: FloatArray
    held_out_loss_K: FloatArray | None
    held_out_accuracy_K: FloatArray | None


@dataclass(frozen=True)
class Snapshot:
    """All numbers of the step that leads on from the present state, under names such as z1, dL/dW2, and for updates W1, b1.

    For one point the first three phases are that point's own; the update is always the batch's, as it is applied.
    """

    step: int
    point: int | None
    batch_KB: NDArray[np.intp]
    """The points of the batch (one row for all networks when the batch is all points)."""
    forward: dict[str, FloatArray]
    loss: dict[str, FloatArray]
    backward: dict[str, FloatArray]
    update: dict[str, dict[str, FloatArray]]

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return plain(self)


@dataclass(frozen=True)
class Boundary:
    """The networks' outputs over the plane: rows x2, columns x1, both from low to high."""

    x1_X: FloatArray
    x2_Y: FloatArray
    output_KYX: FloatArray


@dataclass(frozen=True)
class Moment:
    """The present of a playground."""

    network: Network
    state: State
    data: DataSet
    batch_KB: NDArray[np.intp]
    """Which points the step that leads on from here uses."""

    def train_step(self) -> Step:
        """Compute the step that leads on from here."""
        x_KBI, y_KBO = self.data.x_N2[self.batch_KB], self.data.y_N[self.batch_KB][:, :, None]
        return train_step(self.network, self.state, x_KBI, y_KBO)

    def pass_over(self, point: int) -> Pass:
        """Go forward and backward over one point.

        Raises:
            UsageError: there is no such point.
        """
        whole(point, "point", 0, len(self.data.y_N) - 1)
        x_1BI, y_1BO = self.data.x_N2[None, [point]], self.data.y_N[None, [point], None]
        return run_pass(self.network, self.state.parameters_KP, x_1BI, y_1BO)

    def scores(self) -> Scores:
        """Compute loss and share of right answers on all points, and on those held out."""
        data = self.data
        loss_K, accuracy_K = self._score(data.x_N2, data.y_N)
        if not len(data.held_out_y_N):
            return Scores(loss_K, accuracy_K, None, None)
        return Scores(loss_K, accuracy_K, *self._score(data.held_out_x_N2, data.held_out_y_N))

    def _score(self, x_N2: FloatArray, y_N: FloatArray) -> tuple[FloatArray, FloatArray]:
        with np.errstate(all="ignore"):
            run = forward(self.network, self.network.layers(self.state.parameters_KP), x_N2[None])
            loss_K = losses(self.network, run, y_N[None, :, None]).mean(axis=1)
        return loss_K, ((run.z[-1][:, :, 0] >= 0) == (y_N == 1)).mean(axis=1)

    def snapshot(self, point: int | None) -> Snapshot:
        """Compute all numbers of the step that leads on from here, for the batch or for one point."""
        phases: dict[str, dict[str, FloatArray]] = {"forward": {}, "loss": {}, "backward": {}}
        updates: dict[str, dict[str, FloatArray]] = {}
        with np.errstate(all="ignore"):
            step = self.train_step()
            done = step.batch if point is None else self.pass_over(point)
            for named in pass_numbers(done):
                phases[named.phase][f"{named.symbol}{named.layer}"] = named.array
            for named in update_numbers(step):
                updates.setdefault(f"{named.axes}{named.layer}", {})[named.symbol] = named.array
            dL_da, da_dz = output_chain(self.network, done.run, done.y_KBO)
        last = len(done.layers)
        loss_KB = phases["loss"].pop(f"loss{last}")
        phases["loss"] = {"loss": loss_KB, "mean": loss_KB.mean(axis=1)}
        phases["backward"] = {f"dL/da{last}": dL_da, f"da/dz{last}": da_dz, **phases["backward"]}
        return Snapshot(self.state.step, point, self.batch_KB, **phases, update=updates)

    def formula(self, kind: str, layer: int, unit: int, source: int | None, point: int | None, k: int) -> Formula:
        """Return how a number of network k is made; see `Playground.formula`."""
        self.network.position(layer, unit, source)
        update_kinds = (*OPTIMIZERS[self.network.optimizer].texts, "new_value")
        known = (*UNIT_KINDS, "loss", "gradient", *update_kinds)
        if kind not in known:
            raise UsageError(
                f"there is no formula {kind!r}{suggest(str(kind), known)}; expected one of {', '.join(known)}"
            )
        if kind in UNIT_KINDS and point is None:
            raise UsageError(f"formula {kind!r} is of one point; say which with point=")
        points = self.batch_KB[k % len(self.batch_KB)] if point is None else np.array([point])
        with np.errstate(all="ignore"):
            if kind in update_kinds:
                return update_formula(self.train_step(), kind, k, layer, unit, source)
            done = self.train_step().batch if point is None else self.pass_over(point)
            if kind == "gradient":
                return gradient_formula(done, k, layer, unit, source, points)
            if kind == "loss":
                return loss_formula(done, k, points)
            return unit_formula(done, kind, k, layer, unit, int(points[0]))

    def boundary(self, n: int) -> Boundary:
        """Compute every network's output on n x n places of the plane, which holds all points."""
        return self.unit_maps(n)[-1]

    def unit_maps(self, n: int) -> list[Boundary]:
        """Compute what every unit says at n x n places of the plane, layer by layer, the output last."""
        whole(n, "the size of the grid", 2, 256)
        reach = max(1.25, 1.1 * min(float(np.abs(self.data.x_N2).max()), 1e300))
        line = np.linspace(-reach, reach, n)
        x2_YX, x1_YX = np.meshgrid(line, line, indexing="ij")
        with np.errstate(all="ignore"):
            layers = self.network.layers(self.state.parameters_KP)
            run = forward(self.network, layers, np.stack([x1_YX.ravel(), x2_YX.ravel()], axis=1)[None])
        units = [a[:, :, unit] for a in run.a[1:] for unit in range(a.shape[2])]
        return [Boundary(line, line, a.reshape(-1, n, n)) for a in units]
