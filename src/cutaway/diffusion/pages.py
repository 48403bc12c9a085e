"""Drawings shown several times: drawing takes a third of a training step, and noise makes a new task of each showing.

The stream of what is shown goes through the drawings page by page, and through each page `repeats` times, the first time
in order, then shuffled. So what stands at place i of the stream is a function of i and the seed alone, and a page is all
that need be kept. A run resumed in the middle of one draws that page again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from cutaway.base.seed import numpy_generator
from cutaway.diffusion.portions import portions
from cutaway.diffusion.scene import Scene

PAGE = 4096
"""Drawings; of 64 pixels 50 MB. What is shown again soon is still half known: that page is learned, then forgotten."""
DRAWN_AT_ONCE = 64

Drawn = tuple[list[Scene], UInt8[ndarray, "B Y X C"]]


class Pages:
    """What is shown when.

    Args:
        draw: returns drawings first .. first+count-1 of the endless stream of drawings.
        repeats: how often each is shown.
    """

    def __init__(self, draw: Callable[[int, int], Drawn], repeats: int, seed: int) -> None:
        self.draw, self.repeats, self.seed = draw, repeats, seed
        self._order = lru_cache(4)(self._shuffled)
        self._kept: dict[int, tuple[list[Scene], ndarray, ndarray]] = {}

    def numbers(self, first: int, count: int) -> Int[ndarray, " B"]:
        """Return which drawings are shown at places first .. first+count-1 of the stream."""
        turns_B, at_B = np.divmod(np.arange(first, first + count), PAGE)
        return np.array(
            [turn // self.repeats * PAGE + self._order(int(turn))[at] for turn, at in zip(turns_B, at_B, strict=True)],
            dtype=np.int64,
        )

    def shown(self, first: int, count: int) -> Drawn:
        """Return what is shown at places first .. first+count-1 of the stream."""
        if self.repeats == 1:
            return self.draw(first, count)
        numbers_B = self.numbers(first, count)
        pages_B, rows_B = np.divmod(numbers_B, PAGE)
        scenes: list[Scene] = [Scene()] * count
        pictures: ndarray | None = None
        for page in np.unique(pages_B).tolist():
            places = np.flatnonzero(pages_B == page)
            kept, drawn = self._page(page, rows_B[places])
            if pictures is None:
                pictures = np.empty((count, *drawn.shape[1:]), np.uint8)
            pictures[places] = drawn[rows_B[places]]
            for place in places.tolist():
                scenes[place] = kept[rows_B[place]]
        assert pictures is not None
        return scenes, pictures

    def _shuffled(self, turn: int) -> Int[ndarray, " N"]:
        """Return the order in which the stream's turn through a page shows it."""
        if turn % self.repeats == 0:
            return np.arange(PAGE)
        return numpy_generator(self.seed, "order", turn).permutation(PAGE)

    def _page(self, page: int, rows: Int[ndarray, " B"]) -> tuple[list[Scene], UInt8[ndarray, "N Y X C"]]:
        """Return what is kept of a page, with at least these rows drawn."""
        is_drawn = self._kept[page][2] if page in self._kept else np.zeros(PAGE, bool)
        missing = rows[~is_drawn[rows]]
        first, end = (int(missing.min()), int(missing.max()) + 1) if len(missing) else (0, 0)
        for part in portions(end - first, DRAWN_AT_ONCE):
            rows_now = slice(first + part.start, first + part.stop)
            scenes_now, drawn = self.draw(page * PAGE + rows_now.start, part.stop - part.start)
            if page not in self._kept:
                while len(self._kept) > 1:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[page] = [Scene()] * PAGE, np.empty((PAGE, *drawn.shape[1:]), np.uint8), is_drawn
            scenes, pictures, _ = self._kept[page]
            scenes[rows_now], pictures[rows_now], is_drawn[rows_now] = scenes_now, drawn, True
        return self._kept[page][:2]
