"""What a drawing shows, in words of a small fixed vocabulary, and which combinations are never drawn for training.

A scene has one creature, or two side by side (then they wear nothing). `HELD_OUT` lists combinations of two or three
attributes; a scene that has one of them is held out: the training stream never draws it and no training caption speaks
of it. Every value of every attribute is seen in training, so a model that composes can paint the held-out scenes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

KINDS = ("cat", "dog", "rabbit", "bear", "fox", "owl", "fish", "snail")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
SIZES = ("small", "normal", "big")
ACCESSORIES = ("nothing", "hat", "scarf", "glasses", "bow", "boots")
ACCESSORY_SIZES = ("tiny", "normal", "big")
BACKGROUNDS = ("meadow", "night", "beach", "plain")
RELATIONS = ("left of", "right of")


@dataclass(frozen=True)
class Creature:
    """One creature. None: not said (of a prompt), or not there (the size and colour of an accessory not worn)."""

    kind: str | None = None
    colour: str | None = None
    size: str | None = None
    accessory: str | None = None
    accessory_size: str | None = None
    accessory_colour: str | None = None


@dataclass(frozen=True)
class Scene:
    """A whole drawing, or what a prompt asks of one: None is what the prompt leaves open."""

    creature: Creature = Creature()
    background: str | None = None
    relation: str | None = None
    """Where the first creature is, seen from the other."""
    other: Creature | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """Everything said, by name: kind, colour, ..., background, relation, other_kind, other_colour, ..."""
        said = {f.name: getattr(self.creature, f.name) for f in fields(Creature)}
        said |= {"background": self.background, "relation": self.relation}
        if self.other is not None:
            said |= {f"other_{f.name}": getattr(self.other, f.name) for f in fields(Creature)}
        return {name: value for name, value in said.items() if value is not None}


HELD_OUT: tuple[dict[str, str], ...] = (
    {"kind": "cat", "accessory": "hat", "accessory_size": "tiny"},
    {"kind": "dog", "accessory": "glasses", "accessory_size": "big"},
    {"kind": "rabbit", "accessory": "scarf", "accessory_size": "normal"},
    {"kind": "bear", "accessory": "bow", "accessory_size": "tiny"},
    {"kind": "fox", "accessory": "boots", "accessory_size": "big"},
    {"kind": "owl", "accessory": "hat", "accessory_size": "big"},
    {"kind": "fish", "accessory": "glasses", "accessory_size": "normal"},
    {"kind": "snail", "accessory": "scarf", "accessory_size": "big"},
    {"kind": "fox", "colour": "purple"},
    {"kind": "owl", "colour": "yellow"},
    {"kind": "dog", "colour": "green"},
    {"accessory": "hat", "accessory_colour": "pink"},
    {"kind": "snail", "size": "small", "background": "night"},
    {"kind": "rabbit", "size": "big", "colour": "red"},
    {"kind": "bear", "size": "small", "background": "beach"},
)
"""A scene in which one creature (or one creature and the background) has all of these is held out."""


def is_held_out(scene: Scene) -> bool:
    """Whether a scene has a combination that is never trained on; of a prompt, whether it asks for one."""
    for creature in (scene.creature, scene.other):
        if creature is not None:
            said = Scene(creature, scene.background).attributes
            if any(all(said.get(name) == value for name, value in rule.items()) for rule in HELD_OUT):
                return True
    return False
