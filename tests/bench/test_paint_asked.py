"""What painters of words, of labels and of neither are asked, and how their pictures are marked."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cutaway.base.errors import UsageError
from cutaway.bench import paint_asked
from cutaway.bench.paint_asked import asked_of, check_judged, marks_of, pictures_of
from cutaway.diffusion.captions import read_prompt
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.scene import KINDS, Creature, Scene, is_held_out
from diffusion.judges import told_judge


def painter(**parts: Any) -> Any:
    return SimpleNamespace(**{"text": None, "names": (), "size": 32, "channels": 3} | parts)


def test_words_seen_and_never_seen_are_asked_apart() -> None:
    asked = asked_of(painter(text=object()), 20, seed=0)
    assert list(asked) == ["seen", "held out"]
    assert not any(is_held_out(read_prompt(prompt)) for prompt in asked["seen"])
    assert all(is_held_out(read_prompt(prompt)) for prompt in asked["held out"])
    scenes = [Scene(Creature("cat", "red", "normal", "nothing"), "plain")] * 2
    marks = marks_of(painter(text=object()), told_judge(scenes), np.zeros((2, 32, 32, 3), np.uint8), ["a cat", "a fox"])
    assert marks is not None
    assert [one.is_right for one in marks.marked] == [True, False]


def test_labels_in_turn_and_nothing() -> None:
    assert asked_of(painter(names=KINDS), 10, 0) == {"labels": [*KINDS, "cat", "dog"]}
    assert asked_of(painter(), 3, 0) == {"anything": [""] * 3}
    nothing = np.zeros((2, 32, 32, 3), np.uint8)
    assert marks_of(painter(), told_judge([]), nothing, ["", ""]) is None
    scenes = [Scene(Creature("cat", "red", "big", "nothing"), "plain")] * 2
    marks = marks_of(painter(names=KINDS), told_judge(scenes), nothing, ["cat", "dog"])
    assert marks is not None
    assert marks.overall.right == 1


def test_every_picture_has_a_noise_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, list[int]]] = []

    def paint(painter: Any, asked: Sequence[str], sampling: Any, seeds: Sequence[int], allow_empty: bool) -> Any:
        calls.append((len(asked), list(seeds)))
        return SimpleNamespace(pictures=np.full((len(asked), 4, 4, 3), seeds[0], np.uint8))

    monkeypatch.setattr(paint_asked, "paint", paint)
    pictures = pictures_of(painter(), [""] * 150, PaintSamplingConfig(), 5, lambda line: None)
    assert len(pictures) == 150
    assert [n for n, _ in calls] == [64, 64, 22]
    assert [seed for _, seeds in calls for seed in seeds] == list(range(5, 155))


def test_what_the_judge_cannot_look_at() -> None:
    check_judged(painter(size=64, names=KINDS))
    with pytest.raises(UsageError, match="28 pixels, 1 channels"):
        check_judged(painter(size=28, channels=1))
    with pytest.raises(UsageError, match="this painter paints 0, 1, \\.\\.\\."):
        check_judged(painter(names=("0", "1")))
