"""Which pieces are held out: whole pieces, never parts, and never one that is nearly another one in training.

Every piece has a place in line that its name and the seed decide, so adding a piece moves few others. The first tenth is
held out. Pieces that are nearly the same go to training together, and the next in line is held out instead.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cutaway.base.errors import DataError
from cutaway.voice.near_duplicates import likenesses
from cutaway.voice.piece import Piece

SAME_OVERLAP, SAME_JACCARD = 0.2, 0.35
"""From these on two pieces are nearly the same."""


@dataclass(frozen=True)
class Split:
    """Names of pieces."""

    train: list[str]
    held_out: list[str]
    moved: list[str]
    """Would have been held out, were they not nearly the same as another piece."""
    groups: list[list[str]]
    """Pieces that are nearly the same."""
    overlapping: list[tuple[str, str, float]]
    """(held out, training, share of 13-grams) of what little is left in common."""


def split(pieces: Sequence[Piece], held_out_share: float, seed: int) -> Split:
    """Part pieces into training and held-out.

    Raises:
        DataError: there are too few different pieces.
    """
    pieces = sorted(pieces, key=lambda piece: piece.name)
    names = [piece.name for piece in pieces]
    alike = likenesses([piece.text for piece in pieces])
    group = list(range(len(pieces)))
    for one in alike:
        if one.overlap >= SAME_OVERLAP or one.jaccard >= SAME_JACCARD:
            old, new = group[one.second], group[one.first]
            group = [new if mine == old else mine for mine in group] if old != new else group
    members: dict[int, list[int]] = defaultdict(list)
    for index, mine in enumerate(group):
        members[mine].append(index)
    line = sorted(range(len(pieces)), key=lambda index: hashlib.sha256(f"{seed}\0{names[index]}".encode()).digest())
    wanted = max(1, round(held_out_share * len(pieces)))
    lone = [index for index in line if len(members[group[index]]) == 1]
    if len(lone) < wanted + 1:
        raise DataError(
            f"only {len(lone)} of {len(pieces)} pieces are unlike all others; {wanted + 1} are needed to hold {wanted} out"
        )
    held = set(lone[:wanted])
    moved = [names[index] for index in line[:wanted] if index not in held]
    overlapping = [
        (names[a], names[b], one.overlap)
        for one in alike
        for a, b in ((one.first, one.second), (one.second, one.first))
        if a in held and b not in held and one.overlap
    ]
    return Split(
        [names[index] for index in range(len(pieces)) if index not in held],
        [names[index] for index in sorted(held)],
        moved,
        [[names[index] for index in mine] for mine in members.values() if len(mine) > 1],
        overlapping,
    )
