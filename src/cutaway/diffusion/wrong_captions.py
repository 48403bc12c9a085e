"""Captions that are wrong in one thing, of the same drawing and in the same phrasing.

To tell a batch's captions apart, an encoder need not know whose colour is whose: hardly two of them have the same words.
Beside "a red cat wearing a blue hat" stands here "a blue cat wearing a red hat", or "a red cat wearing a blue scarf". Who
has to tell those apart has to read which word belongs to which (Yuksekgonul et al. 2023, arXiv:2210.01936, exchange words
to the same end).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cutaway.diffusion.captions import caption
from cutaway.diffusion.scene import (
    ACCESSORIES,
    ACCESSORY_SIZES,
    BACKGROUNDS,
    COLOURS,
    KINDS,
    RELATIONS,
    SIZES,
    Scene,
    is_held_out,
)

COUNT = 4
"""Wrong captions of a drawing."""
VALUES: dict[str, tuple[str, ...]] = {
    "kind": KINDS,
    "colour": COLOURS,
    "size": SIZES,
    "accessory": ACCESSORIES[1:],
    "accessory_size": ACCESSORY_SIZES,
    "accessory_colour": COLOURS,
}


def exchanged(scene: Scene) -> list[Scene]:
    """Return the scene with two of its things exchanged, in every way that makes another scene."""
    mine, other = scene.creature, scene.other
    found = []
    if other is not None:
        found = [
            replace(scene, creature=replace(mine, colour=other.colour), other=replace(other, colour=mine.colour)),
            replace(scene, creature=replace(mine, size=other.size), other=replace(other, size=mine.size)),
            replace(scene, relation=RELATIONS[1 - RELATIONS.index(str(scene.relation))]),
        ]
    elif mine.accessory != "nothing":
        sizes = {"tiny": "small", "small": "tiny"}
        found = [
            replace(scene, creature=replace(mine, colour=mine.accessory_colour, accessory_colour=mine.colour)),
            replace(
                scene,
                creature=replace(
                    mine,
                    size=sizes.get(str(mine.accessory_size), mine.accessory_size),
                    accessory_size=sizes.get(str(mine.size), mine.size),
                ),
            ),
        ]
    return [one for one in found if one != scene and not is_held_out(one)]


def altered(scene: Scene, number: float) -> Scene:
    """Return the scene with one thing changed; the number in [0, 1) chooses which thing, then to what."""
    ways = [("", "background")]
    for who, creature in (("creature", scene.creature), ("other", scene.other)):
        if creature is not None:
            ways += [(who, name) for name in VALUES if getattr(creature, name) not in (None, "nothing")]
    which = number * len(ways)
    return changed(scene, *ways[int(which)], which % 1)


def changed(scene: Scene, who: str, name: str, number: float) -> Scene:
    """Return the scene with this thing changed, of the creature or the other one; the number in [0, 1) chooses to what."""
    now = getattr(getattr(scene, who) if who else scene, name)
    values = [value for value in VALUES.get(name, BACKGROUNDS) if value != now]
    first = int(number * len(values))
    for value in values[first:] + values[:first]:
        parts: dict[str, Any] = {who: replace(getattr(scene, who), **{name: value})} if who else {name: value}
        found = replace(scene, **parts)
        if not is_held_out(found):
            return found
    return scene  # every other value is held out: nothing wrong can be said here


def wrong_captions(scene: Scene, words: Sequence[float], numbers: Sequence[float]) -> tuple[str, ...]:
    """Return `COUNT` wrong captions: two things exchanged (else one changed), one thing changed, and of what is worn its
    size and its colour (now and then what it is) changed: those are the smallest things to see, and were read last.

    Args:
        words: the numbers by which the right caption was said.
        numbers: `COUNT`, in [0, 1); choose what is wrong.
    """
    swaps = exchanged(scene)
    first = swaps[int(numbers[0] * len(swaps))] if swaps else altered(scene, numbers[0])
    wrong = [first, altered(scene, numbers[1])]
    if scene.creature.accessory == "nothing":
        wrong += [altered(scene, number) for number in numbers[2:]]
    else:
        digit = numbers[3] * 10 % 1
        wrong.append(changed(scene, "creature", "accessory_size", numbers[2]))
        wrong.append(changed(scene, "creature", "accessory_colour" if numbers[3] < 0.7 else "accessory", digit))
    return tuple(caption(one, words) for one in wrong)
