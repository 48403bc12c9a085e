"""Drawings shown several times: as often as asked, the same wherever one begins, drawn once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from cutaway.base.errors import ConfigError
from cutaway.diffusion import pages
from cutaway.diffusion.captions import read_prompt
from cutaway.diffusion.config import PicturesConfig
from cutaway.diffusion.pages import PAGE, Pages
from cutaway.diffusion.pictures import Creatures
from cutaway.diffusion.scene import Scene

REPEATS = 3


class Drawer:
    """A drawing is its number, in one pixel; it counts what it draws."""

    def __init__(self) -> None:
        self.drawn: Counter[int] = Counter()

    def __call__(self, first: int, count: int) -> tuple[list[Scene], np.ndarray]:
        numbers = np.arange(first, first + count)
        self.drawn.update(numbers.tolist())
        return [Scene()] * count, np.stack([numbers // 256, numbers % 256], axis=1).astype(np.uint8)[:, None, None]


def shown(stream: Pages, first: int, count: int) -> list[int]:
    pictures = stream.shown(first, count)[1]
    return [256 * int(high) + int(low) for high, low in pictures[:, 0, 0]]


def test_every_drawing_is_shown_as_often_as_asked_before_new_ones_come() -> None:
    numbers = Pages(Drawer(), REPEATS, 0).numbers(0, 2 * REPEATS * PAGE)
    first, second = numbers[: REPEATS * PAGE], numbers[REPEATS * PAGE :]
    assert Counter(first.tolist()) == dict.fromkeys(range(PAGE), REPEATS)
    assert Counter(second.tolist()) == dict.fromkeys(range(PAGE, 2 * PAGE), REPEATS)
    turns = first.reshape(REPEATS, PAGE)
    assert turns[0].tolist() == list(range(PAGE))
    assert len({tuple(turn) for turn in turns.tolist()}) == REPEATS
    assert all(np.mean(turn == np.arange(PAGE)) < 0.02 for turn in turns[1:])


def test_in_the_order_of_training_each_is_drawn_once() -> None:
    drawer = Drawer()
    stream = Pages(drawer, REPEATS, 0)
    seen = [number for first in range(0, 2 * REPEATS * PAGE, 96) for number in shown(stream, first, 96)]
    assert seen == stream.numbers(0, len(seen)).tolist()
    assert drawer.drawn == dict.fromkeys(range(2 * PAGE), 1)


def test_a_resumed_run_is_shown_the_same() -> None:
    whole = Pages(Drawer(), REPEATS, 7)
    for first in range(0, REPEATS * PAGE, 256):
        shown(whole, first, 256)
    for first in (0, PAGE + 500, REPEATS * PAGE - 50):
        assert shown(Pages(Drawer(), REPEATS, 7), first, 100) == shown(whole, first, 100)
    assert shown(Pages(Drawer(), REPEATS, 8), PAGE + 500, 100) != shown(whole, PAGE + 500, 100)


@pytest.mark.slow
def test_creatures_shown_again_are_the_same_drawings_in_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE", 128)
    once, again = Creatures(16, 4, 3), Creatures(16, 4, 3, repeats=2)
    assert torch.equal(again.batch(0, 40).x_BCYX, once.batch(0, 40).x_BCYX)
    assert again.batch(0, 40).captions == once.batch(0, 40).captions
    second = again.batch(128, 40)
    numbers = again._pages.numbers(128, 40)
    same_captions = 0
    for row, number in enumerate(numbers.tolist()):
        drawing = once.batch(number, 1)
        assert torch.equal(second.x_BCYX[row], drawing.x_BCYX[0])
        assert second.label_B[row] == drawing.label_B[0]
        assert again.scenes(128 + row, 1) == once.scenes(number, 1)
        assert read_prompt(second.captions[row]) is not None
        same_captions += second.captions[row] == drawing.captions[0]
    assert same_captions < 20
    wrong = again.wrong_captions(128, 40)
    told = [right not in others for right, others in zip(second.captions, wrong, strict=True)]
    assert sum(told) > 25  # now and then the wrong thing is not said


@pytest.mark.parametrize(
    ("settings", "said"), [({"repeats": 0}, "expected 1 or more"), ({"source": "x", "repeats": 2}, "for `creatures`")]
)
def test_repeats_that_mean_nothing(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PicturesConfig(**settings)


def test_what_drawings_show_is_told_without_drawing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    creatures = Creatures(16, 4, 3)
    expected = creatures._pages.shown(5, 3)[0]
    monkeypatch.setattr(creatures._pages, "draw", None)
    assert creatures.scenes(5, 3) == expected
