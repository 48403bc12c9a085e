"""Scenes drawn: many pictures at once, grouped by what is drawn so that every operation serves a whole group.

Where the creature stands, how it leans, holds its head and is proportioned is drawn by lot, drawing by drawing, from
`chances`: the same scene never looks the same twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from cutaway.diffusion.backgrounds import PLACE
from cutaway.diffusion.brush import COLOUR_RGB, Brush, Chances
from cutaway.diffusion.creatures import DRAW, Anchors
from cutaway.diffusion.scene import Creature, Scene
from cutaway.diffusion.shapes import F, Frame
from cutaway.diffusion.wearing import SCALE, WEAR

N_CHANCES = 64
_HEIGHT = {"small": 0.50, "normal": 0.63, "big": 0.79}
"""Height of a creature of each size, in units of the picture."""
_WIDTH = {"fish": 1.05, "snail": 1.15}
"""Room that a creature needs to the left and right, in units of its height; others need less."""
_STRETCH = {"fish": 1.05, "snail": 1.12}
"""Low creatures are drawn larger, so that they look as big as the others."""
_PAIR = 0.75
"""Beside another, a creature is this much smaller."""


def draw(scenes: Sequence[Scene], size: int, chances_NK: Float[ndarray, "N K"]) -> UInt8[ndarray, "N Y X 3"]:
    """Draw each scene as a square picture.

    Args:
        chances_NK: `N_CHANCES` numbers in [0, 1) for each drawing.
    """
    rgb = np.empty((len(scenes), 3, size, size), F)
    edge = (np.arange(size, dtype=F) + F(0.5)) / F(size)
    whole = Frame(
        np.broadcast_to(edge, (1, size, size)), np.broadcast_to(1 - edge[:, None], (1, size, size)), F(1 / size)
    )
    for name, rows in _groups([str(scene.background) for scene in scenes]):
        part = np.empty((len(rows), 3, size, size), F)
        PLACE[name](whole, part, Chances(chances_NK[rows, :24]))
        rgb[rows] = part
    alone = [i for i, scene in enumerate(scenes) if scene.other is None]
    pairs = [i for i, scene in enumerate(scenes) if scene.other is not None]
    for rows, column, side in ((alone, 24, 0), (pairs, 24, -1), (pairs, 44, 1)):
        _creatures(scenes, rows, side, whole, rgb, chances_NK[:, column : column + 20])
    return (np.clip(rgb, 0, 1) * F(255) + F(0.5)).astype(np.uint8).transpose(0, 2, 3, 1)


def _groups(names: Sequence[str]) -> list[tuple[str, list[int]]]:
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        groups.setdefault(name, []).append(i)
    return list(groups.items())


def _on_side(scene: Scene, side: int) -> Creature:
    if scene.other is None or (scene.relation == "left of") == (side < 0):
        return scene.creature
    return scene.other


def _creatures(
    scenes: Sequence[Scene], rows: list[int], side: int, whole: Frame, rgb: ndarray, chances_NK: ndarray
) -> None:
    drawn = [_on_side(scenes[i], side) for i in rows]
    for kind, members in _groups([str(creature.kind) for creature in drawn]):
        group = [drawn[m] for m in members]
        places = np.array([rows[m] for m in members])
        chances = Chances(chances_NK[places])
        frame = _stand(whole, group, side, chances)
        colours = np.array([COLOUR_RGB[str(creature.colour)] for creature in group], F)
        part = rgb[places]
        anchors = DRAW[kind](Brush(frame, part, colours, chances))
        for accessory, wearers in _groups([str(creature.accessory) for creature in group]):
            if accessory != "nothing":
                _wear(accessory, group, np.array(wearers), frame, part, anchors, chances_NK[places])
        rgb[places] = part


def _stand(whole: Frame, group: Sequence[Creature], side: int, chances: Chances) -> Frame:
    height = np.array([_HEIGHT[str(creature.size)] for creature in group], F)[:, None, None]
    kind = str(group[0].kind)
    height = height * chances(0.96, 1.04) * F(_PAIR if side else 1) * F(_STRETCH.get(kind, 1))
    width = F(_WIDTH.get(kind, 0.92))
    free = np.maximum(F(0.5 if side else 1) - height * width, 0)
    x = F(0.75 if side > 0 else 0.25 if side < 0 else 0.5) + free * chances(-0.5, 0.5)
    top = np.array([1.34 if (c.accessory, c.accessory_size) == ("hat", "big") else 1.2 for c in group], F)[
        :, None, None
    ]
    y = F(0.04) + np.maximum(F(0.96) - height * top, 0) * chances(0, 0.75)
    flip = np.where(chances(0, 1) < 0.5, F(-1), F(1))
    turned = Frame((whole.x - x) * (flip / height), (whole.y - y) / height, whole.pixel / height)
    return turned.around(0.0, 0.0, chances(-0.07, 0.07))


def _wear(
    accessory: str,
    group: Sequence[Creature],
    wearers: ndarray,
    frame: Frame,
    part: ndarray,
    anchors: Anchors,
    chances_NK: ndarray,
) -> None:
    chances = Chances(chances_NK[wearers, ::-1])
    scale = np.array([SCALE[str(group[w].accessory_size)] for w in wearers], F)[:, None, None] * chances(0.95, 1.05)
    colours = np.array([COLOUR_RGB[str(group[w].accessory_colour)] for w in wearers], F)
    worn = part[wearers]
    WEAR[accessory](Brush(frame.rows(wearers), worn, colours, chances), anchors.rows(wearers), scale)
    part[wearers] = worn
