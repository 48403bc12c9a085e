"""An endless stream of scenes: scene i of a seed is a pure function of i and the seed.

All attributes are drawn evenly; one scene in six (or as many as are asked for) has two creatures, which wear nothing, so
that at 32 pixels each still has room. A scene of training that would be held out is drawn again. A held-out scene is drawn
by picking one of the rules evenly and filling in the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy import ndarray

from cutaway.base.seed import derive
from cutaway.diffusion.counted import uniforms
from cutaway.diffusion.scene import (
    ACCESSORIES,
    ACCESSORY_SIZES,
    BACKGROUNDS,
    COLOURS,
    HELD_OUT,
    KINDS,
    RELATIONS,
    SIZES,
    Creature,
    Scene,
    is_held_out,
)

Value = TypeVar("Value")

SHARE_OF_PAIRS = 1 / 6
N_NUMBERS = 16


def training_scenes(seed: int, first: int, count: int, share_of_pairs: float = SHARE_OF_PAIRS) -> list[Scene]:
    """Return scenes first .. first+count-1 of the training stream, none of them held out."""
    scenes: list[Scene] = [Scene()] * count
    left = np.arange(count)
    attempt = 0
    while len(left):
        numbers = uniforms(derive(seed, "scenes", attempt), left + first, N_NUMBERS)
        again = []
        for place, row in zip(left, numbers.tolist(), strict=True):
            scenes[place] = _scene(row, share_of_pairs)
            if is_held_out(scenes[place]):
                again.append(place)
        left, attempt = np.array(again, dtype=np.int64), attempt + 1
    return scenes


def held_out_scenes(seed: int, first: int, count: int) -> list[Scene]:
    """Return scenes first .. first+count-1 of the stream of combinations never trained on, one creature each."""
    numbers: ndarray = uniforms(derive(seed, "held-out scenes"), np.arange(first, first + count), N_NUMBERS + 1)
    scenes = []
    for row in numbers.tolist():
        row[0] = 1.0  # one creature
        scenes.append(_with_rule(_scene(row, SHARE_OF_PAIRS), _pick(row[-1], HELD_OUT), row[5]))
    return scenes


def _with_rule(scene: Scene, rule: dict[str, str], number: float) -> Scene:
    said = dict(rule)
    background = said.pop("background", scene.background)
    if said.get("accessory", "nothing") != "nothing" and scene.creature.accessory == "nothing":
        scene = replace(scene, creature=_dressed(scene.creature, said["accessory"], (number, number)))
    creature = replace(scene.creature, **said)
    if creature.accessory_colour == creature.colour:
        other = [c for c in COLOURS if c != creature.colour]
        if "accessory_colour" in said:
            creature = replace(creature, colour=_pick(number, other))
        else:
            creature = replace(creature, accessory_colour=_pick(number, other))
    return replace(scene, creature=creature, background=background)


def _pick(number: float, values: Sequence[Value]) -> Value:
    return values[int(number * len(values))]


def _scene(row: list[float], share_of_pairs: float) -> Scene:
    background = _pick(row[1], BACKGROUNDS)
    first = Creature(_pick(row[2], KINDS), _pick(row[3], COLOURS), _pick(row[4], SIZES), "nothing")
    if row[0] >= share_of_pairs:
        return Scene(_dressed(first, _pick(row[5], ACCESSORIES), (row[6], row[7])), background)
    # two creatures alike could not be told apart by a caption; two big ones do not fit side by side
    kind = _pick(row[8], [kind for kind in KINDS if kind != first.kind])
    size = _pick(row[10], SIZES[:2] if first.size == "big" else SIZES)
    return Scene(first, background, _pick(row[11], RELATIONS), Creature(kind, _pick(row[9], COLOURS), size, "nothing"))


def _dressed(creature: Creature, accessory: str, numbers: tuple[float, float]) -> Creature:
    if accessory == "nothing":
        return replace(creature, accessory="nothing")
    # of another colour than the creature, so that it shows
    colour = _pick(numbers[1], [colour for colour in COLOURS if colour != creature.colour])
    return replace(
        creature, accessory=accessory, accessory_size=_pick(numbers[0], ACCESSORY_SIZES), accessory_colour=colour
    )
