"""Who looks at a picture and says what it shows, so that what a model paints can be counted right or wrong.

A small convolutional network with one answer an attribute, trained on fresh drawings of all combinations
(`judge_training.py`), never on anything a model painted. It looks at 32 pixels; larger pictures are averaged down to
them, which our drawings survive unchanged. Two creatures are named from left to right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor, nn

from cutaway.base.errors import ShapeError
from cutaway.diffusion.picture_files import from_uint8
from cutaway.diffusion.scene import (
    ACCESSORIES,
    ACCESSORY_SIZES,
    BACKGROUNDS,
    COLOURS,
    KINDS,
    SIZES,
    Creature,
    Scene,
)

SIZE = 32
"""Edge of what it looks at."""
QUESTIONS: dict[str, tuple[str, ...]] = {
    "count": ("one", "two"),
    "kind": KINDS,
    "colour": COLOURS,
    "size": SIZES,
    "accessory": ACCESSORIES,
    "accessory_size": ACCESSORY_SIZES,
    "accessory_colour": COLOURS,
    "background": BACKGROUNDS,
    "other_kind": KINDS,
    "other_colour": COLOURS,
    "other_size": SIZES,
}
"""What it answers and the possible answers; `other_` is the creature on the right, if there are two."""
_OTHER_SIDE = {"kind": "other_kind", "colour": "other_colour", "size": "other_size"}
_OTHER_SIDE |= {theirs: mine for mine, theirs in _OTHER_SIDE.items()}
_SHIFTS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
_UNASKED = -100  # what cross_entropy passes over


class JudgeNetwork(nn.Module):
    """Convolutions from 32 pixels down to 4, then one linear answer a question.

    Args:
        width: channels of the finest level.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (3, width, width, 2 * width, 2 * width, 4 * width, 4 * width, 6 * width)
        strides = (1, 1, 2, 1, 2, 1, 2)
        layers: list[nn.Module] = []
        for (before, after), stride in zip(pairwise(widths), strides, strict=True):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Linear(widths[-1] * (SIZE // 8) ** 2, 256)
        self.answers = nn.ModuleDict({name: nn.Linear(256, len(values)) for name, values in QUESTIONS.items()})

    def features(self, x_BCYX: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B F"]:
        """Return what the answers are read from: 256 numbers a picture."""
        return functional.relu(self.hidden(self.convolutions(as_seen(x_BCYX)).flatten(1)))

    def forward(self, x_BCYX: Float[Tensor, "B C Y X"]) -> dict[str, Tensor]:
        """Return the logits of every question's answers."""
        features_BF = self.features(x_BCYX)
        return {name: answer(features_BF) for name, answer in self.answers.items()}

    def ask(self, x_BCYX: Float[Tensor, "B C Y X"]) -> dict[str, Tensor]:
        """Return the answers' log-probabilities, summed over ten views: as it is, a pixel aside, and their mirror images.

        In a mirror image left and right creature have changed places, and so have the answers about them.
        """
        padded_BCYX = functional.pad(as_seen(x_BCYX), (1, 1, 1, 1), mode="replicate")
        total = {name: torch.zeros(len(x_BCYX), len(values)) for name, values in QUESTIONS.items()}
        for down, right in _SHIFTS:
            view_BCYX = padded_BCYX[:, :, 1 + down : 1 + down + SIZE, 1 + right : 1 + right + SIZE]
            plain, mirrored = self(view_BCYX), self(view_BCYX.flip(3))
            are_two_B1 = mirrored["count"].argmax(1, keepdim=True) == 1
            for name in QUESTIONS:
                swapped = torch.where(are_two_B1, mirrored[_OTHER_SIDE.get(name, name)], mirrored[name])
                total[name] += plain[name].log_softmax(1) + swapped.log_softmax(1)
        return total


def as_seen(x_BCYX: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C Y2 X2"]:
    """Return pictures at the size the judge looks at.

    Raises:
        ShapeError: they are not square, not in colour, or no multiple of that size.
    """
    edge = x_BCYX.shape[-1]
    if x_BCYX.shape[1:] != (3, edge, edge) or edge % SIZE:
        raise ShapeError(f"the judge looks at square colour pictures of {SIZE}, {2 * SIZE}, ... pixels")
    return x_BCYX if edge == SIZE else functional.avg_pool2d(x_BCYX, edge // SIZE)


def from_left(scene: Scene) -> Scene:
    """Return the same scene told from its left creature."""
    if scene.other is None or scene.relation != "right of":
        return scene
    return replace(scene, creature=scene.other, relation="left of", other=scene.creature)


def answers_of(scenes: Sequence[Scene]) -> dict[str, Int[Tensor, " B"]]:
    """Return the right answer to every question, -100 where it does not arise."""
    said = [from_left(scene).attributes | {"count": "two" if scene.other else "one"} for scene in scenes]
    return {
        name: torch.tensor([values.index(row[name]) if name in row else _UNASKED for row in said])
        for name, values in QUESTIONS.items()
    }


@dataclass(frozen=True)
class Judge:
    """A trained network with what is known of it."""

    network: JudgeNetwork
    accuracy: dict[str, float]
    """Share of right answers on fresh drawings, by question."""
    hash: str

    @torch.inference_mode()
    def look(self, picture_BYXC: UInt8[ndarray, "B Y X C"], at_once: int = 256) -> list[Scene]:
        """Return what each picture shows, told from the left creature."""
        scenes = []
        for first in range(0, len(picture_BYXC), at_once):
            logits = self.network.ask(from_uint8(picture_BYXC[first : first + at_once]))
            best = {name: logits[name].argmax(1).tolist() for name in QUESTIONS}
            count = len(best["count"])
            scenes += [_seen({name: QUESTIONS[name][best[name][i]] for name in QUESTIONS}) for i in range(count)]
        return scenes

    @torch.inference_mode()
    def features(self, picture_BYXC: UInt8[ndarray, "B Y X C"], at_once: int = 256) -> Float[Tensor, "B F"]:
        """Return the features of each picture, in which FID is measured."""
        parts = [
            self.network.features(from_uint8(picture_BYXC[first : first + at_once]))
            for first in range(0, len(picture_BYXC), at_once)
        ]
        return torch.cat(parts)

    def verdicts(self, picture_BYXC: UInt8[ndarray, "B Y X C"], asked: Sequence[Scene]) -> list[dict[str, bool]]:
        """Return for each picture which of the attributes asked of it are right."""
        return [verdict(seen, scene) for seen, scene in zip(self.look(picture_BYXC), asked, strict=True)]


def _seen(answer: dict[str, str]) -> Scene:
    if answer["count"] == "two":
        left = Creature(answer["kind"], answer["colour"], answer["size"], "nothing")
        right = Creature(answer["other_kind"], answer["other_colour"], answer["other_size"], "nothing")
        return Scene(left, answer["background"], "left of", right)
    names = [field.name for field in fields(Creature)]
    creature = Creature(**{name: answer[name] for name in names})
    if creature.accessory == "nothing":
        creature = replace(creature, accessory_size=None, accessory_colour=None)
    return Scene(creature, answer["background"])


def verdict(seen: Scene, asked: Scene) -> dict[str, bool]:
    """Return which attributes of a prompt a picture shows.

    Of two creatures, each is compared with the one on its side; where no side was asked, the way round that fits best.
    A prompt that names no creature asks only for what else it names.
    """
    told = from_left(asked)
    if told.other is not None and told.relation is None:
        swapped = replace(told, creature=told.other, other=told.creature)
        ways = [_compare(seen, way) for way in (told, swapped)]
        return max(ways, key=lambda way: sum(way.values()))
    return _compare(seen, told)


def _compare(seen: Scene, asked: Scene) -> dict[str, bool]:
    shown, wanted = seen.attributes, asked.attributes
    if asked.creature.kind is not None:
        shown["count"], wanted["count"] = (str(scene.other is not None) for scene in (seen, asked))
    return {name: shown.get(name) == value for name, value in wanted.items()}
