"""A scene in words, in many phrasings, and words back into what they ask.

What a caption never leaves out: what is worn, and a size that is not normal. So a prompt that names no accessory asks
for none, and one that names no size asks for a normal one. Colours and the background may be left out, and are then
not asked. `read_prompt` reads nouns with the adjectives before them, so it also understands phrasings that no caption
uses; words it does not know it passes over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cutaway.diffusion.scene import Creature, Scene

KIND_WORDS = {
    "cat": ("cat", "kitty"),
    "dog": ("dog", "puppy"),
    "rabbit": ("rabbit", "bunny"),
    "bear": ("bear", "bear cub"),
    "fox": ("fox",),
    "owl": ("owl",),
    "fish": ("fish",),
    "snail": ("snail",),
}
SIZE_WORDS = {"small": ("small", "little"), "normal": ("",), "big": ("big", "large")}
ACCESSORY_SIZE_WORDS = {"tiny": ("tiny", "tiny", "teeny"), "normal": ("",), "big": ("big", "huge")}
BACKGROUND_WORDS = {
    "meadow": ("in a meadow", "on a meadow", "on the grass"),
    "night": ("at night", "under the stars", "in the moonlight"),
    "beach": ("on the beach", "at the beach", "by the sea"),
    "plain": ("on a plain background", "against a plain background"),
}
_PREFIXES = ("", "", "", "a picture of ", "a drawing of ", "here is ")
_WORN = ("wearing", "wearing", "with", "in", "that wears")
_PLURAL = ("glasses", "boots")

_NOUNS = {word.split()[0]: kind for kind, words in KIND_WORDS.items() for word in words}
_ACCESSORY_NOUNS = {name: name for name in ("hat", "scarf", "glasses", "bow", "boots")}
_SIZES = {
    "tiny": "tiny",
    "teeny": "tiny",
    "small": "small",
    "little": "small",
    "big": "big",
    "large": "big",
    "huge": "big",
}
_PLACES = {
    "meadow": "meadow",
    "grass": "meadow",
    "night": "night",
    "stars": "night",
    "moonlight": "night",
    "beach": "beach",
    "sea": "beach",
    "plain": "plain",
}
_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")


def caption(scene: Scene, numbers: Sequence[float]) -> str:
    """Say the scene in one of many ways, chosen by ten or more numbers in [0, 1)."""
    number = iter(numbers)
    told = _creature(scene.creature, number)
    if scene.other is not None:
        told = _pair(told, _creature(scene.other, number), str(scene.relation), next(number))
    elif scene.creature.accessory != "nothing":
        told = _wearing(told, scene.creature, number)
    told = _pick(next(number), _PREFIXES) + told
    place = _pick(next(number), BACKGROUND_WORDS[str(scene.background)])
    where = next(number)
    if where < 0.3:
        return told
    return f"{place}, {told}" if where < 0.45 else f"{told} {place}"


def _pick(number: float, ways: Sequence[str]) -> str:
    return ways[int(number * len(ways))]


def _noun_phrase(words: Sequence[str]) -> str:
    phrase = " ".join(word for word in words if word)
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _creature(creature: Creature, number: Iterator[float]) -> str:
    size = _pick(next(number), SIZE_WORDS[str(creature.size)])
    colour = str(creature.colour) if next(number) < 0.85 else ""
    return _noun_phrase((size, colour, _pick(next(number), KIND_WORDS[str(creature.kind)])))


def _wearing(told: str, creature: Creature, number: Iterator[float]) -> str:
    noun = str(creature.accessory)
    size = _pick(next(number), ACCESSORY_SIZE_WORDS[str(creature.accessory_size)])
    colour = str(creature.accessory_colour) if next(number) < 0.75 else ""
    if noun in _PLURAL:
        worn = " ".join(word for word in (size, colour, noun) if word)
        worn = f"a pair of {worn}" if next(number) < 0.2 else worn
    else:
        worn = _noun_phrase((size, colour, noun))
    way = next(number)
    return f"{worn} on {told}" if way < 0.12 else f"{told} {_pick((way - 0.12) / 0.88, _WORN)} {worn}"


def _pair(first: str, second: str, relation: str, number: float) -> str:
    side = relation.split()[0]
    ways = (
        f"{first} {side} of {second}",
        f"{first} {side} of {second}",
        f"{first} to the {side} of {second}",
        f"{first} on the {side} and {second} on the {'right' if side == 'left' else 'left'}",
    )
    return _pick(number, ways)


def read_prompt(prompt: str) -> Scene:
    """Return what the prompt asks; None where it leaves something open."""
    creatures: list[dict[str, str]] = []
    worn: dict[str, str] = {}
    relation = background = None
    size, colour = "normal", None
    for word in re.findall(r"[a-z]+", prompt.lower()):
        if word in _SIZES:
            size = _SIZES[word]
        elif word in _COLOURS:
            colour = word
        elif word in _NOUNS or word in _ACCESSORY_NOUNS:
            said = {"size": size} | ({"colour": colour} if colour else {})
            if word in _NOUNS:
                said["size"] = {"tiny": "small"}.get(size, size)
                creatures.append({"kind": _NOUNS[word], "accessory": "nothing"} | said)
            else:
                said["size"] = {"small": "tiny"}.get(size, size)
                worn = {"accessory": word} | {f"accessory_{name}": value for name, value in said.items()}
            size, colour = "normal", None
        elif word in ("left", "right"):
            relation = relation or f"{word} of"
        elif word in _PLACES:
            background = background or _PLACES[word]
    first = Creature(**((creatures[0] if creatures else {}) | worn))
    if len(creatures) < 2:
        return Scene(first, background)
    return Scene(first, background, relation, Creature(**creatures[1]))
