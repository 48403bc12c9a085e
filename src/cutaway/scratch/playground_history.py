"""The history of a playground: states kept on the way, and the edits made to it.

At most CAPACITY states are kept, evenly spaced: at first every step, then every 2nd, 4th, 8th. The steps between them are
computed again, which gives the same numbers bit for bit, since a batch follows from seed and step alone. An edit belongs
to its step; what came after that step is cut off.

Look at `keep` and `cut_off`; the steps themselves are made in `playground.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from cutaway.base.errors import UsageError
from cutaway.scratch.playground_data import DataSet
from cutaway.scratch.playground_divergence import Divergence
from cutaway.scratch.playground_moment import Scores
from cutaway.scratch.small_network_parameters import Network, State

CAPACITY = 1024
"""States kept at most; with more, every second one goes."""


@dataclass(frozen=True)
class Edit:
    """Weights and points that the user changed at a step, each with its new value."""

    step: int
    weights: tuple[tuple[int, int, int, int | None, float], ...] = ()
    """Network, layer, unit, source (None: the bias), value."""
    points: tuple[tuple[int, float, float, float], ...] = ()
    """Point, x1, x2, label."""

    def targets(self) -> list[tuple[Any, ...]]:
        """Return what is changed, without the values."""
        return [weight[:4] for weight in self.weights] + [point[:1] for point in self.points]


def with_weights(network: Network, state: State, edits: Iterable[Edit]) -> State:
    """Return the state with the weights as edited."""
    parameters_KP = state.parameters_KP.copy()
    for edit in edits:
        for k, layer, unit, source, value in edit.weights:
            parameters_KP[k, network.position(layer, unit, source)] = value
    return replace(state, parameters_KP=parameters_KP)


def with_points(data: DataSet, edits: Iterable[Edit]) -> DataSet:
    """Return the data with the points as edited."""
    x_N2, y_N = data.x_N2.copy(), data.y_N.copy()
    for edit in edits:
        for point, x1, x2, label in edit.points:
            x_N2[point], y_N[point] = (x1, x2), label
    return replace(data, x_N2=x_N2, y_N=y_N)


@dataclass
class History:
    """What there is to go back to."""

    kept: list[tuple[State, Scores]] = field(default_factory=list)
    """By step; a state has its step's edits in it."""
    edits_at: dict[int, list[Edit]] = field(default_factory=dict)
    diverged: dict[int, Divergence] = field(default_factory=dict)
    """By network."""
    last_step: int = 0
    spacing: int = 1

    @property
    def edits(self) -> list[Edit]:
        """All edits, the first one first."""
        return [edit for step in sorted(self.edits_at) for edit in self.edits_at[step]]

    def keep(self, state: State, score: Callable[[], Scores]) -> None:
        """Keep a state and its scores, if its step is one of those to keep."""
        if state.step % self.spacing == 0:
            self.kept.append((state, score()))
        if len(self.kept) > CAPACITY:
            self.spacing *= 2
            self.kept = [kept for kept in self.kept if kept[0].step % self.spacing == 0]

    def last_kept(self, step: int) -> State | None:
        """Return the last state kept at or before a step."""
        at = bisect_right(self.kept, step, key=lambda kept: kept[0].step)
        return self.kept[at - 1][0] if at else None

    def cut_off(self, step: int) -> None:
        """Forget the states at and after a step, the edits after it, and what diverged there or later."""
        self.kept = [kept for kept in self.kept if kept[0].step < step]
        self.edits_at = {at: edits for at, edits in self.edits_at.items() if at <= step}
        self.diverged = {k: diverged for k, diverged in self.diverged.items() if diverged.step < step}
        self.last_step = step
        while self.spacing > 1 and step < self.spacing * CAPACITY // 2:
            self.spacing //= 2

    def record(self, edit: Edit, is_new: bool = False) -> None:
        """Cut off what came after, and add the edit; unless new, it replaces the last one that changed the same things."""
        self.cut_off(edit.step)
        edits = self.edits_at.setdefault(edit.step, [])
        if not is_new and edits and edits[-1].targets() == edit.targets():
            edits.pop()
        edits.append(edit)

    def take_back(self) -> Edit:
        """Remove the last edit, cut off what came after its step, and return it.

        Raises:
            UsageError: nothing was edited.
        """
        if not self.edits_at:
            raise UsageError("nothing was edited, so there is nothing to undo; set a weight or a point first")
        step = max(self.edits_at)
        edit = self.edits_at[step].pop()
        if not self.edits_at[step]:
            del self.edits_at[step]
        self.cut_off(step)
        return edit
