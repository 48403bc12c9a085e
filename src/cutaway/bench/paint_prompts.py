"""`cutaway bench paint --run RUN`: is what it paints what was asked, is it new, and is it as varied as the drawings?

Prompts of combinations that training saw and of combinations it never saw are painted once each and judged
(`diffusion/judge.py`); a painter that is told labels is asked for each kind of creature; one that is told nothing is only
compared with fresh drawings. Distances mean something beside the same distance between two sets of fresh drawings, so
that stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from cutaway.base.errors import UsageError
from cutaway.base.seed import derive
from cutaway.bench.facts import Fact
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.copying import copying
from cutaway.diffusion.evaluate import Marked, PromptAccuracy, evaluate, prompts
from cutaway.diffusion.fid import diversity, fid
from cutaway.diffusion.judge import SIZE, Judge
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.picture_files import from_uint8, to_uint8
from cutaway.diffusion.pictures import Creatures, picture_batch
from cutaway.diffusion.scene import KINDS
from cutaway.diffusion.scene_stream import training_scenes

_AT_ONCE = 64
SEEN_BAR, HELD_OUT_BAR, KIND_BAR = 0.90, 0.75, 0.98
"""At least this share of pictures right: combinations seen, never seen, and the creature alone."""


@dataclass(frozen=True)
class Judged:
    """What was found of one painter."""

    sets: dict[str, PromptAccuracy]
    pictures: dict[str, UInt8[ndarray, "B Y X C"]]
    """Of each set, in the order of its marks."""
    facts: list[Fact]

    def examples(self, count: int = 16) -> tuple[UInt8[ndarray, "B Y X C"], list[Marked]]:
        """Return pictures to show with their marks, of each set as many, the worst of each first."""
        share = max(1, count // max(1, len(self.sets)))
        shown = {name: marks.examples(share) for name, marks in self.sets.items()}
        pictures = [self.pictures[name][i] for name, places in shown.items() for i in places]
        return np.stack(pictures), [self.sets[name].marked[i] for name, places in shown.items() for i in places]

    def as_dict(self) -> dict[str, Any]:
        """Return every figure and mark as plain values."""
        sets = {name: marks.as_dict() for name, marks in self.sets.items()}
        return {"prompts": sets, "facts": [fact.as_dict() for fact in self.facts]}


def judge_painter(
    painter: Painter,
    sampling: PaintSamplingConfig,
    judge: Judge,
    trained_on: Creatures,
    count: int,
    seed: int = 0,
    n_training: int = 10_000,
    say: Callable[[str], None] = lambda line: None,
) -> Judged:
    """Paint `count` pictures of each set and judge them.

    Args:
        trained_on: the drawings the painter learned from.
        n_training: how many of them are looked through for copies.

    Raises:
        UsageError: it paints pictures that the judge cannot look at.
    """
    if painter.text is None and painter.names and painter.names != KINDS:
        raise UsageError(f"the judge knows creatures; this painter paints {', '.join(painter.names[:4])}, ...")

    def painted(asked: Sequence[str]) -> UInt8[ndarray, "B Y X C"]:
        parts = []
        for first in range(0, len(asked), _AT_ONCE):
            part = list(asked[first : first + _AT_ONCE])
            seeds = [seed + first + i for i in range(len(part))]
            parts.append(paint(painter, part, sampling, seeds).pictures)
            say(f"{first + len(part)} of {len(asked)} painted")
        pictures = np.concatenate(parts)
        if pictures.shape[1] % SIZE or pictures.shape[3] != 3:
            raise UsageError(f"the judge looks at colour pictures of {SIZE}, {2 * SIZE}, ... pixels")
        return pictures

    sets: dict[str, PromptAccuracy] = {}
    pictures: dict[str, UInt8[ndarray, "B Y X C"]] = {}
    if painter.text is not None:
        for name, held_out in (("seen", False), ("held out", True)):
            say(f"prompts of combinations {name}")
            sets[name], pictures[name] = evaluate(painted, judge, prompts(count, seed, held_out))
    elif painter.names:
        asked = [KINDS[i % len(KINDS)] for i in range(count)]
        pictures["labels"] = painted(asked)
        sets["labels"] = PromptAccuracy(_of_kind(judge, pictures["labels"], asked))
    else:
        pictures["anything"] = painted([""] * count)
    return Judged(sets, pictures, _facts(next(iter(pictures.values())), judge, trained_on, seed, n_training))


def _of_kind(judge: Judge, pictures: UInt8[ndarray, "B Y X C"], asked: Sequence[str]) -> list[Marked]:
    """Mark each picture by whether a creature of that kind is on it, alone or not: a label says no more."""
    marked = []
    for seen, kind in zip(judge.look(pictures), asked, strict=True):
        shown = [creature.kind for creature in (seen.creature, seen.other) if creature is not None]
        marked.append(Marked(kind, {"kind": kind in shown}))
    return marked


def _facts(
    pictures: UInt8[ndarray, "B Y X C"], judge: Judge, trained_on: Creatures, seed: int, n_training: int
) -> list[Fact]:
    fresh = []
    for name in ("fresh", "more fresh"):
        stream = derive(seed, name)
        fresh.append(picture_batch(training_scenes(stream, 0, len(pictures)), trained_on.size, stream).x_BCYX)
    painted_BCYX = from_uint8(pictures)
    features = [judge.features(to_uint8(x_BCYX)) for x_BCYX in (painted_BCYX, *fresh)]
    copied = copying(painted_BCYX, fresh[0], trained_on, n_training)
    return [
        Fact("FID in the judge's features, painted to fresh drawings", fid(features[0], features[1]), ""),
        Fact("FID between two sets of as many fresh drawings", fid(features[1], features[2]), ""),
        Fact("diversity: mean distance between two painted", diversity(features[0]), ""),
        Fact("diversity: mean distance between two fresh drawings", diversity(features[1]), ""),
        Fact(f"nearest of {n_training} training drawings, painted, of the range", 100 * copied.painted, "%"),
        Fact(f"nearest of {n_training} training drawings, fresh, of the range", 100 * copied.fresh, "%"),
        Fact("painted nearer to one than all but 1 % of fresh drawings", 100 * copied.nearer, "%"),
    ]


def judged_table(judged: Judged) -> str:
    """Return the shares with their intervals, set by set."""
    rows = [("", "right", "95 % interval", "bar")]
    bars = {"seen": SEEN_BAR, "held out": HELD_OUT_BAR, "labels": KIND_BAR}
    for name, marks in judged.sets.items():
        shares = {f"{name}: all that was asked": marks.overall}
        shares |= {f"  {attribute}": share for attribute, share in marks.attributes.items()}
        for what, share in shares.items():
            low, high = share.interval
            bar = bars[name] if share is shares[f"{name}: all that was asked"] else None
            bar = KIND_BAR if what.strip() == "kind" else bar
            interval = f"{100 * low:.1f} to {100 * high:.1f} %"
            right = f"{share.right} of {share.asked}, {100 * share.value:.1f} %"
            rows.append((what, right, interval, f"{100 * bar:.0f} %" if bar else "-"))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join(
            text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
