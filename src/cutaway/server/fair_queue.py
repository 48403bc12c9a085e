"""A queue that is fair to people, not to requests.

Whoever waits alone waits one turn; who asks for twenty things at once gets one turn of twenty, between everybody else's.
Each request gets a round: one later than the person's last request, and not before the round that is being served. Rounds
are served in order, within a round who came first goes first (Nagle 1987, RFC 970; Demers et al. 1989, with every request
of equal size). The queue is bounded, for all and for each person, so it takes bounded memory.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cutaway.base.errors import CutawayError

Item = TypeVar("Item")


class BusyError(CutawayError):
    """Too many wait already."""


@dataclass(frozen=True, order=True)
class _Waiting(Generic[Item]):
    round: int
    arrival: int
    who: str = field(compare=False)
    item: Item = field(compare=False)


class FairQueue(Generic[Item]):
    """Requests in the order in which they are served.

    Args:
        most: that may wait at once.
        most_each: of one person.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self.most, self.most_each = most, most_each
        self._waiting: list[_Waiting[Item]] = []
        self._n_of: Counter[str] = Counter()
        self._last_round: dict[str, int] = {}
        self._round = 0
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item, who: str) -> None:
        """Let a request wait.

        Raises:
            BusyError: too many wait, or too many of this person's.
        """
        if len(self._waiting) >= self.most:
            raise BusyError(f"{len(self._waiting)} wait already; try again soon")
        if self._n_of[who] >= self.most_each:
            raise BusyError(f"{self._n_of[who]} of your questions wait already; ask again when one was answered")
        turn = max(self._round, self._last_round.get(who, -1) + 1)
        self._last_round[who] = turn
        self._n_of[who] += 1
        self._arrivals += 1
        insort(self._waiting, _Waiting(turn, self._arrivals, who, item))

    def take(self) -> Item | None:
        """Return who is next, or None when nobody waits."""
        if not self._waiting:
            return None
        first = self._waiting.pop(0)
        self._round = first.round
        self._forget(first)
        return first.item

    def remove(self, item: Item) -> bool:
        """Take out a request that is no longer wanted; return whether it waited."""
        for place, one in enumerate(self._waiting):
            if one.item is item:
                self._forget(self._waiting.pop(place))
                return True
        return False

    def places(self) -> list[Item]:
        """Return all that wait, the next one first."""
        return [one.item for one in self._waiting]

    def _forget(self, gone: _Waiting[Item]) -> None:
        self._n_of[gone.who] -= 1
        if not self._n_of[gone.who]:
            del self._n_of[gone.who]
        # rounds that are over say nothing any more, so nothing grows for ever
        is_wanted = self._round if self._waiting else math.inf
        self._last_round = {who: turn for who, turn in self._last_round.items() if turn >= is_wanted}
