"""What a painter is asked when it is measured, its pictures, and the judge's marks on them.

A painter that reads words is asked for combinations that training saw, and apart from them for combinations it never saw;
one that is told labels for each kind of creature in turn; one that is told nothing for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from cutaway.base.errors import UsageError
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.evaluate import PromptAccuracy, mark, mark_kinds, prompts
from cutaway.diffusion.judge import SIZE, Judge
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.scene import KINDS

AT_ONCE = 64
"""Pictures painted together."""

Say = Callable[[str], None]


def check_judged(painter: Painter) -> None:
    """Check that the judge can look at what is painted.

    Raises:
        UsageError: it knows no such pictures.
    """
    if painter.size % SIZE or painter.channels != 3:
        raise UsageError(
            f"the judge looks at colour pictures of {SIZE}, {2 * SIZE}, ... pixels; this painter paints {painter.size} "
            f"pixels, {painter.channels} channels"
        )
    if painter.text is None and painter.names and painter.names != KINDS:
        raise UsageError(f"the judge knows creatures; this painter paints {', '.join(painter.names[:4])}, ...")


def asked_of(painter: Painter, count: int, seed: int) -> dict[str, list[str]]:
    """Return what is asked, by set: so many of each, the first set what training saw."""
    if painter.text is not None:
        return {"seen": prompts(count, seed, False), "held out": prompts(count, seed, True)}
    if painter.names:
        return {"labels": [KINDS[i % len(KINDS)] for i in range(count)]}
    return {"anything": [""] * count}


def pictures_of(
    painter: Painter, asked: Sequence[str], sampling: PaintSamplingConfig, seed: int, say: Say
) -> UInt8[ndarray, "B Y X C"]:
    """Paint one picture for each, picture i from the noise of seed + i."""
    parts = []
    for first in range(0, len(asked), AT_ONCE):
        part = list(asked[first : first + AT_ONCE])
        seeds = range(seed + first, seed + first + len(part))
        parts.append(paint(painter, part, sampling, seeds, allow_empty=True).pictures)
        say(f"  {first + len(part)} of {len(asked)}")
    return np.concatenate(parts)


def marks_of(
    painter: Painter, judge: Judge, pictures: UInt8[ndarray, "B Y X C"], asked: Sequence[str]
) -> PromptAccuracy | None:
    """Return the judge's marks; None where nothing was asked for."""
    if painter.text is not None:
        return mark(judge, pictures, asked)
    return mark_kinds(judge, pictures, asked) if painter.names else None
