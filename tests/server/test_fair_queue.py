"""Whose turn it is when many ask at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.server.fair_queue import BusyError, FairQueue


def served(queue: FairQueue[str]) -> list[str]:
    found = []
    while (one := queue.take()) is not None:
        found.append(one)
    return found


def test_who_asks_for_much_does_not_keep_the_others_waiting() -> None:
    queue: FairQueue[str] = FairQueue(100, 50)
    for i in range(4):
        queue.add(f"a{i}", "a")
    queue.add("b0", "b")
    queue.add("c0", "c")
    queue.add("c1", "c")
    assert queue.places() == served(queue) == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]


def test_a_newcomer_is_not_behind_rounds_to_come_nor_before_the_one_served() -> None:
    queue: FairQueue[str] = FairQueue(100, 50)
    for i in range(5):
        queue.add(f"a{i}", "a")
    assert [queue.take(), queue.take(), queue.take()] == ["a0", "a1", "a2"]
    queue.add("b0", "b")
    queue.add("b1", "b")
    assert served(queue) == ["b0", "a3", "b1", "a4"]


def test_it_is_bounded_for_all_and_for_each() -> None:
    queue: FairQueue[str] = FairQueue(4, 2)
    queue.add("a0", "a")
    queue.add("a1", "a")
    with pytest.raises(BusyError, match="2 of your questions wait"):
        queue.add("a2", "a")
    queue.add("b0", "b")
    queue.add("b1", "b")
    with pytest.raises(BusyError, match="4 wait already"):
        queue.add("c0", "c")
    assert queue.remove(queue.places()[0])
    queue.add("c0", "c")
    assert not queue.remove("gone")


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=60))
def test_nobody_is_lost_and_each_persons_own_order_is_kept(asked: list[tuple[str, bool]]) -> None:
    queue: FairQueue[str] = FairQueue(1000, 1000)
    added: list[str] = []
    got: list[str] = []
    for i, (who, takes) in enumerate(asked):
        added.append(f"{who}{i}")
        queue.add(added[-1], who)
        if takes:
            got.append(queue.take() or "")
    got += served(queue)
    assert sorted(got) == sorted(added)
    for who in "abcde":
        own = [one for one in got if one[0] == who]
        assert own == [one for one in added if one[0] == who]
    assert not queue._last_round or max(queue._last_round.values()) <= len(asked)
