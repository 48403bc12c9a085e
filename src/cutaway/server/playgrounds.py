"""Playgrounds that are kept for the next request.

A request says the whole situation: settings, seeds, points of one's own, edits. So any server can answer it, at any time; a
playground that was already walked answers at once. While a weight or a point is dragged only the last edit differs, so
the playground at hand is taken back to where the two histories part, and goes on from there.

Look at `Playgrounds.at`: it lends a playground to one request at a time.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cutaway.base.errors import UsageError
from cutaway.scratch.playground import Playground, PlaygroundConfig
from cutaway.scratch.playground_history import CAPACITY

KEPT_AT_MOST = 32
NUMBERS_AT_MOST = 16_000_000
"""Parameters (and the optimizer's numbers for them) in all histories together: 128 MB."""


@dataclass(frozen=True)
class Change:
    """What was changed at one step: weights (layer, unit, source or None, value), points (point, x1, x2, label), flips."""

    step: int
    weights: tuple[tuple[int, int, int | None, float], ...] = ()
    points: tuple[tuple[int, float, float, float], ...] = ()
    flips: tuple[int, ...] = ()
    """Points whose label becomes the other one."""

    def targets(self) -> tuple[Any, ...]:
        """Return what is changed, without the values; a flip has no value to replace."""
        return (self.step, [weight[:3] for weight in self.weights], [point[0] for point in self.points])


@dataclass(frozen=True)
class Situation:
    """All it takes to make a playground again."""

    config: PlaygroundConfig
    seeds: tuple[int, ...]
    points: tuple[tuple[float, ...], ...] | None = None
    changes: tuple[Change, ...] = ()

    def beginning(self) -> str:
        """Return what the playground starts from, as text: the same for the same beginning."""
        return json.dumps([self.config.as_dict(), self.seeds, self.points])


@dataclass
class Slot:
    """One playground, and which of the situation's changes were made to it."""

    playground: Playground
    changes: list[Change] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def size(self) -> int:
        """Return how many numbers a full history of this playground holds."""
        state = self.playground.state
        return CAPACITY * state.parameters_KP.size * (1 + len(state.memory))

    def bring_to(self, wanted: tuple[Change, ...]) -> None:
        """Make these changes and no others."""
        if list(wanted) == self.changes:
            return
        same = 0
        while same < min(len(wanted), len(self.changes)) and wanted[same] == self.changes[same]:
            same += 1
        is_drag = same == len(wanted) - 1 == len(self.changes) - 1 and replaces(wanted[same], self.changes[same])
        if is_drag:
            self.changes.pop()  # the playground itself replaces an edit of the same things
        while len(self.changes) > same:
            self.playground.undo()
            self.changes.pop()
        for change in wanted[same:]:
            self.make(change, is_new=not is_drag)

    def make(self, change: Change, is_new: bool) -> None:
        """Make one change; unless new, the playground puts it in place of the one before.

        Raises:
            UsageError: it changes what is not there, or lies behind the end of the history.
        """
        playground = self.playground
        if self.changes and change.step < self.changes[-1].step:
            raise UsageError(f"an edit at step {change.step} follows one at step {self.changes[-1].step}; order them")
        if playground.seek(change.step) < change.step:
            raise UsageError(
                f"there is an edit at step {change.step}, but the network stops at {playground.state.step}"
            )
        data, n = playground.data, len(playground.data.y_N)
        if not all(0 <= point < n for point in change.flips):
            raise UsageError(f"there is no point {max(change.flips)} to flip; there are {n}")
        flips = [(p, float(data.x_N2[p, 0]), float(data.x_N2[p, 1]), 1 - float(data.y_N[p])) for p in change.flips]
        playground.edit([(0, *weight) for weight in change.weights], [*change.points, *flips], is_new)
        self.changes.append(change)


def replaces(new: Change, old: Change) -> bool:
    """Tell whether a change only gives the same things other values, as the next moment of a drag does."""
    return not new.flips and not old.flips and new.targets() == old.targets()


def only_flips(change: Change) -> bool:
    """Tell whether a change flips labels and does nothing else."""
    return bool(change.flips) and not change.weights and not change.points


def settled(changes: list[Change]) -> tuple[Change, ...]:
    """Return changes with those left out that the next one replaces, and flips of one step in one change."""
    found: list[Change] = []
    for change in changes:
        before = found[-1] if found else None
        if before and replaces(change, before):
            found.pop()
        if before and before.step == change.step and only_flips(before) and only_flips(change):
            found.pop()
            change = Change(change.step, flips=tuple(sorted(set(before.flips) ^ set(change.flips))))
        if change.weights or change.points or change.flips:
            found.append(change)
    return tuple(found)


class Playgrounds:
    """The playgrounds at hand, the one asked for longest ago leaving first."""

    def __init__(self) -> None:
        self._slots: OrderedDict[str, Slot] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def at(self, situation: Situation) -> Iterator[Playground]:
        """Lend the playground of a situation to one request.

        Raises:
            UsageError: the situation makes no sense.
            DataError: points that cannot be learnt from.
        """
        slot = self._slot(situation)
        with slot.lock:
            try:
                slot.bring_to(situation.changes)
            except Exception:
                self._forget(situation)
                raise
            yield slot.playground

    def _slot(self, situation: Situation) -> Slot:
        beginning = situation.beginning()
        with self._lock:
            slot = self._slots.get(beginning)
            if slot is None:
                slot = self._slots[beginning] = Slot(Playground(situation.config, situation.seeds, situation.points))
            self._slots.move_to_end(beginning)
            while len(self._slots) > 1 and (
                len(self._slots) > KEPT_AT_MOST or sum(one.size() for one in self._slots.values()) > NUMBERS_AT_MOST
            ):
                self._slots.popitem(last=False)
            return slot

    def _forget(self, situation: Situation) -> None:
        with self._lock:
            self._slots.pop(situation.beginning(), None)
