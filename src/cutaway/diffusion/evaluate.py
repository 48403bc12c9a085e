"""Prompts, pictures painted for them, and how many the judge finds right.

A picture is right if every attribute its prompt asks is right. Prompts of combinations that training sees and of those
it never sees are counted apart: the first says whether the model learned, the second whether it composes. Shares come
with Wilson's 95 % interval (Wilson 1927), which is honest near 100 % too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray

from cutaway.base.seed import derive
from cutaway.diffusion.captions import caption, read_prompt
from cutaway.diffusion.counted import uniforms
from cutaway.diffusion.judge import Judge
from cutaway.diffusion.scene import is_held_out
from cutaway.diffusion.scene_stream import held_out_scenes, training_scenes


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    right: int
    asked: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.right / self.asked if self.asked else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        if not self.asked:
            return 0.0, 1.0
        z, n, p = 1.959964, self.asked, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, for a file."""
        return asdict(self) | {"share": self.value, "interval": self.interval}


@dataclass(frozen=True)
class Marked:
    """One prompt and what of it is right."""

    prompt: str
    verdict: dict[str, bool]

    @property
    def is_right(self) -> bool:
        """Whether all that was asked is right."""
        return all(self.verdict.values())


@dataclass(frozen=True)
class PromptAccuracy:
    """How a set of prompts came out."""

    marked: list[Marked]

    @property
    def overall(self) -> Share:
        """Of pictures with everything right."""
        return Share(sum(m.is_right for m in self.marked), len(self.marked))

    @property
    def attributes(self) -> dict[str, Share]:
        """Of each attribute, over the prompts that ask it."""
        names = dict.fromkeys(name for m in self.marked for name in m.verdict)
        asked = {name: [m.verdict[name] for m in self.marked if name in m.verdict] for name in names}
        return {name: Share(sum(right), len(right)) for name, right in asked.items()}

    def examples(self, count: int = 16, n_worst: int = 4) -> list[int]:
        """Return which pictures to show: the worst, then the first of the others as they came."""
        order = range(len(self.marked))
        worst = sorted(order, key=lambda i: sum(self.marked[i].verdict.values()) - len(self.marked[i].verdict))[
            :n_worst
        ]
        return (worst + [i for i in order if i not in worst])[:count]

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, for a file."""

        return {
            "overall": self.overall.as_dict(),
            "attributes": {name: share.as_dict() for name, share in self.attributes.items()},
            "marked": [asdict(m) | {"is_right": m.is_right} for m in self.marked],
        }


def prompts(count: int, seed: int, held_out: bool) -> list[str]:
    """Return prompts of combinations seen in training, or of those never seen; each held-out one names its combination."""
    stream = held_out_scenes if held_out else training_scenes
    found: list[str] = []
    first = 0
    while len(found) < count:
        scenes = stream(derive(seed, "asked"), first, count)
        words = uniforms(derive(seed, "asked words"), range(first, first + count), 16).tolist()
        told = [caption(scene, row) for scene, row in zip(scenes, words, strict=True)]
        found += [prompt for prompt in told if is_held_out(read_prompt(prompt)) == held_out]
        first += count
    return found[:count]


def mark(judge: Judge, picture_BYXC: UInt8[ndarray, "B Y X C"], asked: Sequence[str]) -> PromptAccuracy:
    """Have each picture judged by what its prompt asks."""
    verdicts = judge.verdicts(picture_BYXC, [read_prompt(prompt) for prompt in asked])
    return PromptAccuracy([Marked(*pair) for pair in zip(asked, verdicts, strict=True)])


def mark_kinds(judge: Judge, picture_BYXC: UInt8[ndarray, "B Y X C"], asked: Sequence[str]) -> PromptAccuracy:
    """Have each picture judged by whether a creature of that kind is on it, alone or not: a label says no more."""
    marked = []
    for seen, kind in zip(judge.look(picture_BYXC), asked, strict=True):
        shown = [creature.kind for creature in (seen.creature, seen.other) if creature is not None]
        marked.append(Marked(kind, {"kind": kind in shown}))
    return PromptAccuracy(marked)
