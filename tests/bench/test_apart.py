"""A side of a race in a process of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cutaway.base.errors import CutawayError, UsageError
from cutaway.bench.alternate import alternate
from cutaway.bench.apart import Apart
from cutaway.bench.train import Size, a_step, our_side, save_weights, their_side

TINY = Size("tiny", 1, 2, 8, 6, 2, 11, 2, 1.5)


def counting(seconds: float) -> Callable[[], tuple[int, int, int]]:
    """A side whose turns take so long, and tell its process, its threads and their own number."""
    count = 0

    def turn() -> tuple[int, int, int]:
        nonlocal count
        count += 1
        time.sleep(seconds)
        return os.getpid(), torch.get_num_threads(), count

    return turn


def failing(how: str) -> Callable[[], None]:
    """A side that is not there, or ends."""
    if how == "no peer":
        raise UsageError("install the peer")
    sys.exit(7)


@pytest.mark.slow
def test_turns_are_taken_elsewhere_and_timed_there() -> None:
    with Apart(counting, 0.05) as side:
        seconds = [side() for _ in range(3)]
    assert [count for _, _, count in side.results] == [1, 2, 3]
    assert {pid for pid, _, _ in side.results} == {side._process.pid} != {os.getpid()}
    assert {threads for _, threads, _ in side.results} == {torch.get_num_threads()}
    assert all(0.05 <= one < 0.5 for one in seconds)
    assert not side._process.is_alive()


@pytest.mark.slow
def test_what_is_wrong_there_is_said_here() -> None:
    with Apart(failing, "no peer") as side, pytest.raises(UsageError, match="install the peer"):
        side()
    with Apart(failing, "ends") as side, pytest.raises(CutawayError, match="ended, with exit code 7"):
        side()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_both_sides_of_a_training_step_have_the_same_losses(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    save_weights(TINY, tmp_path)
    with (
        Apart(our_side, tmp_path, TINY, "float32") as ours,
        Apart(their_side, tmp_path, TINY, "float32") as theirs,
    ):
        race = alternate("a step", a_step(ours, TINY), a_step(theirs, TINY), 2, 1.2)
    assert len(race.ours) == len(race.theirs) == 2
    assert ours.results == pytest.approx(theirs.results, abs=1e-5)
    assert ours.results[0] != ours.results[-1]
