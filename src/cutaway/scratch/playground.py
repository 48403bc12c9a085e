"""The playground: small networks that learn to tell two kinds of points apart, and a history to walk in.

A network (2-4-1 on XOR by default; its mathematics is in `small_network.py`) says for every point of a plane how likely its
label is 1. Networks that differ only in their seed run side by side; each has the same numbers, bit for bit, as alone.

`step`, `back` and `seek` walk the history bit for bit (`playground_history.py`). An edit belongs to its step and cuts off
what came after it. A network in which a number becomes infinite or undefined stops before that step, and `divergence` says
which number was first.

Look at `Playground.seek`, and at `snapshot` and `formula` for all numbers of a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.scratch.checks import number, plain, whole
from cutaway.scratch.playground_config import MAX_STEPS, PlaygroundConfig
from cutaway.scratch.playground_data import (
    DATA_SETS,
    PAINT,
    WEIGHTS,
    Batches,
    DataSet,
    check_point,
    draw_data,
    own_points,
    stream,
)
from cutaway.scratch.playground_divergence import Divergence, find_divergences
from cutaway.scratch.playground_history import Edit, History, with_points, with_weights
from cutaway.scratch.playground_moment import Boundary, Moment, Scores, Snapshot
from cutaway.scratch.playground_saved import replay, save
from cutaway.scratch.small_network_formulas import Formula
from cutaway.scratch.small_network_functions import FloatArray
from cutaway.scratch.small_network_parameters import State, first_state
from cutaway.scratch.small_network_paths import Path, path_strengths

__all__ = [
    "DATA_SETS", "MAX_NETWORKS", "MAX_STEPS", "Boundary", "DataSet", "Divergence", "Edit", "Formula", "Path", "Playground",
    "PlaygroundConfig", "Scores", "Snapshot", "draw_data", "plain",
]  # fmt: skip

MAX_NETWORKS = 12


class Playground:
    """Networks, one for each seed, with their points and their history.

    Args:
        config: left out: the defaults.
        seeds: of the networks' first weights and of their batches.
        points: the user's own, as rows (x1, x2, label), in place of the configuration's.

    Raises:
        UsageError: seeds that are none, too many or not whole numbers.
        DataError: points that cannot be learnt from.
    """

    def __init__(
        self,
        config: PlaygroundConfig | None = None,
        seeds: Sequence[int] = (0,),
        points: Sequence[Sequence[float]] | None = None,
    ) -> None:
        self.config = config or PlaygroundConfig()
        if not isinstance(seeds, (list, tuple, range)) or not 1 <= len(seeds) <= MAX_NETWORKS:
            raise UsageError(f"seeds is {seeds!r:.60}; expected a list of 1 to {MAX_NETWORKS} whole numbers")
        self.seeds = tuple(whole(seed, "a seed", 0, 2**32 - 1) for seed in seeds)
        self.network = self.config.network()
        self._has_own_points = points is not None
        self._data_at_first = draw_data(self.config) if points is None else own_points(points)
        self._batches = Batches(self.seeds, len(self._data_at_first.y_N), self.config.batch_size)
        self._history = History()
        self._state: State
        self._data: DataSet
        self._restore(0)
        self._keep()

    @property
    def state(self) -> State:
        """The present: step, parameters, the optimizer's memory."""
        return self._state

    @property
    def data(self) -> DataSet:
        """The points as they are at the present step."""
        return self._data

    @property
    def last_step(self) -> int:
        """The last step ever computed and not cut off."""
        return self._history.last_step

    @property
    def edits(self) -> list[Edit]:
        """All edits of the recorded history, the first one first."""
        return self._history.edits

    def step(self) -> bool:
        """Make one step; False when every network has stopped."""
        return self.run(1) == 1

    def back(self) -> bool:
        """Go back one step; False at the beginning."""
        here = self._state.step
        return here > 0 and self.seek(here - 1) < here

    def run(self, n: int) -> int:
        """Make n steps as fast as possible; return how many were made before every network had stopped.

        Raises:
            UsageError: n is no whole number or leads beyond the longest history.
        """
        here = self._state.step
        whole(n, f"the number of steps (a history has at most {MAX_STEPS:,})", 0, MAX_STEPS - here)
        with np.errstate(all="ignore"):
            while self._state.step < here + n and self._advance():
                pass
        return self._state.step - here

    def seek(self, step: int) -> int:
        """Go to a step, back or forward, and return it, or the step at which every network has stopped.

        Raises:
            UsageError: step is no whole number or beyond the longest history.
        """
        whole(step, "step", 0, MAX_STEPS)
        kept = self._history.last_kept(step)
        if step < self._state.step or (kept and kept.step > self._state.step):
            self._restore(step)
        self.run(step - self._state.step)
        return self._state.step

    def set_weight(self, value: float, layer: int, unit: int, source: int | None = None, network: int = 0) -> None:
        """Give a weight, or with no source a bias, another value; what came after this step is cut off."""
        self.edit(weights=[(network, layer, unit, source, value)])

    def set_point(self, point: int, x1: float, x2: float, label: float | None = None) -> None:
        """Move a point, and give it a label; what came after this step is cut off."""
        whole(point, "point", 0, len(self._data.y_N) - 1)
        self.edit(points=[(point, x1, x2, float(self._data.y_N[point]) if label is None else label)])

    def paint_noise(self, x1: float, x2: float, radius: float, share: float = 0.5) -> int:
        """Flip the labels of about this share of the points within radius of (x1, x2); return how many."""
        centre = [number(x1, "x1"), number(x2, "x2")]
        with np.errstate(over="ignore"):
            is_near_N = np.hypot(*(self._data.x_N2 - centre).T) <= number(radius, "radius", 0)
        coins_N = stream(self.config.seed, PAINT, len(self.edits)).random(len(is_near_N))
        flipped = np.flatnonzero(is_near_N & (coins_N < number(share, "share", 0, 1)))
        if len(flipped):
            self.edit(points=[(n, *self._data.x_N2[n], 1 - self._data.y_N[n]) for n in flipped.tolist()])
        return len(flipped)

    def edit(
        self,
        weights: Sequence[tuple[int, int, int, int | None, float]] = (),
        points: Sequence[tuple[int, float, float, float]] = (),
        is_new: bool = False,
    ) -> None:
        """Give weights (network, layer, unit, source or None, value) and points (point, x1, x2, label) other values.

        The edit belongs to the present step, replaces the edit just made if that changed the same things (a drag is one
        edit) unless `is_new` says otherwise, and cuts off what came after.

        Raises:
            UsageError: there is no such weight or point, a weight is no finite number, or its network has stopped.
            DataError: a place of a point is no finite number, or its label other than 0 and 1.
        """
        here = self._state.step
        for network, layer, unit, source, value in weights:
            self._check_network(network)
            self.network.position(layer, unit, source)
            number(value, "a weight")
            diverged = self._history.diverged.get(network)
            if diverged and diverged.step < here:
                raise UsageError(
                    f"network {network} stopped at step {diverged.step}; "
                    f"to edit it, go back there with seek({diverged.step})"
                )
        for point, *row in points:
            check_point(whole(point, "point", 0, len(self._data.y_N) - 1), row)
        edit = Edit(
            here,
            tuple((network, layer, unit, source, float(value)) for network, layer, unit, source, value in weights),
            tuple((point, float(x1), float(x2), float(label)) for point, x1, x2, label in points),
        )
        self._history.record(edit, is_new)
        self._apply([edit])
        self._keep()

    def undo(self) -> Edit:
        """Take back the last edit of the history, go to its step, and return it; what came after is cut off.

        Raises:
            UsageError: nothing was edited.
        """
        edit = self._history.take_back()
        self._restore(edit.step)
        self.run(edit.step - self._state.step)
        self._keep()
        return edit

    def scores(self) -> Scores:
        """Compute loss and share of right answers on all points, and on those held out."""
        return self.now().scores()

    def history(self) -> dict[str, Any]:
        """Return the recorded scores as lists, a row for each step kept and a column for each network."""
        rows = [plain(scores) for _, scores in self._history.kept]
        columns = {name.removesuffix("_K"): [row[name] for row in rows] for name in rows[0]}
        return {"step": [state.step for state, _ in self._history.kept], **columns}

    def curves(self) -> dict[str, FloatArray]:
        """Return `history` as arrays, a row a step, a column a network; without what was not computed."""
        kept = self._history.kept
        columns = {"step": np.array([state.step for state, _ in kept], dtype=float)}
        for name in [field.name for field in fields(Scores) if getattr(kept[0][1], field.name) is not None]:
            columns[name.removesuffix("_K")] = np.stack([getattr(scores, name) for _, scores in kept])
        return columns

    def weight_history(self, layer: int, unit: int, source: int | None = None) -> FloatArray:
        """Return a weight, or with no source a bias, at the steps of `history`: a row a step, a column a network."""
        p = self.network.position(layer, unit, source)
        return np.stack([state.parameters_KP[:, p] for state, _ in self._history.kept])

    def divergence(self) -> tuple[Divergence | None, ...]:
        """Return for each network what blew up first in the recorded history, or None."""
        return tuple(self._history.diverged.get(k) for k in range(len(self.seeds)))

    def snapshot(self, point: int | None = None) -> Snapshot:
        """Compute all numbers of the step that leads on from here, for the batch or for one point."""
        return self.now().snapshot(point)

    def formula(
        self,
        kind: str,
        layer: int = 1,
        unit: int = 1,
        source: int | None = None,
        point: int | None = None,
        network: int = 0,
    ) -> Formula:
        """Return how a number of the step that leads on from here is made.

        Args:
            kind: of a unit at a point z, a, da/dz, dL/da, dL/dz; of the batch or a point loss; of a weight, or with no
                source a bias, gradient (batch or point), the optimizer's numbers by their names, update, new_value.

        Raises:
            UsageError: there is no such kind, unit, weight or point.
        """
        return self.now().formula(kind, layer, unit, source, point, self._check_network(network))

    def path_strengths(self, network: int = 0) -> list[Path]:
        """Return the product of the weights along every way from an input to the output, the strongest first."""
        return path_strengths(self.network, self._state.parameters_KP[self._check_network(network)])

    def boundary(self, n: int = 50) -> Boundary:
        """Compute every network's output on n x n places of the plane, which holds all points."""
        return self.now().boundary(n)

    def as_dict(self) -> dict[str, Any]:
        """Return all it takes to make this playground and its history again, as a JSON object."""
        return save(self, self._data_at_first if self._has_own_points else None)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Playground:
        """Make a playground, its history and its present step again.

        Raises:
            UsageError: a name or value that does not fit.
            DataError: a point that cannot be learnt from.
        """
        return replay(cls, given)

    def _check_network(self, network: int) -> int:
        return whole(network, "network", 0, len(self.seeds) - 1)

    def now(self) -> Moment:
        """Return the present: networks, points and the batch of the step that leads on."""
        return Moment(self.network, self._state, self._data, self._batches.at(self._state.step))

    def _advance(self) -> bool:
        """Make one step, then the edits recorded there; keep the state if the step is new and due."""
        history, before, now = self._history, self._state, self.now()
        stopped = [k for k, diverged in history.diverged.items() if diverged.step <= before.step]
        running = [k for k in range(len(self.seeds)) if k not in stopped]
        if not running:
            return False
        step = now.train_step()
        for diverged in find_divergences(step, running, self.seeds, now.batch_KB):
            history.diverged[diverged.network] = diverged
            running.remove(diverged.network)
        if not running:
            return False
        self._state = step.after if len(running) == len(self.seeds) else step.after.only(running, before)
        if self._state.step in history.edits_at:
            self._apply(history.edits_at[self._state.step])
        if self._state.step > history.last_step:
            history.last_step = self._state.step
            self._keep()
        return True

    def _apply(self, edits: Sequence[Edit]) -> None:
        self._state = with_weights(self.network, self._state, edits)
        self._data = with_points(self._data, edits)

    def _keep(self) -> None:
        self._history.keep(self._state, self.scores)

    def _restore(self, step: int) -> None:
        """Go to the last state kept at or before a step, or to the beginning."""
        kept = self._history.last_kept(step)
        if kept is None:
            first = first_state(self.network, [stream(seed, WEIGHTS) for seed in self.seeds])
            self._state = with_weights(self.network, first, self._history.edits_at.get(0, ()))
        else:
            self._state = kept  # what was edited there is in it
        past = [edit for edit in self.edits if edit.step <= self._state.step]
        self._data = with_points(self._data_at_first, past)
