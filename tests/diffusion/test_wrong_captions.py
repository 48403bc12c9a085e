"""Captions wrong in one thing: never right, never of what is held out, and of a drawing's own phrasing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cutaway.diffusion.captions import read_prompt
from cutaway.diffusion.pictures import Creatures
from cutaway.diffusion.scene import Creature, Scene, is_held_out
from cutaway.diffusion.wrong_captions import COUNT, altered, exchanged, wrong_captions

CAT = Scene(Creature("cat", "red", "small", "scarf", "big", "blue"), "meadow")
PAIR = Scene(Creature("cat", "red", "small", "nothing"), "night", "left of", Creature("dog", "blue", "big", "nothing"))
SAID = [0.5, 0.1, 0.2, 0.5, 0.1, 0.5, 0.2, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]


def test_colours_and_sizes_change_places() -> None:
    assert exchanged(CAT) == [
        Scene(Creature("cat", "blue", "small", "scarf", "big", "red"), "meadow"),
        Scene(Creature("cat", "red", "big", "scarf", "tiny", "blue"), "meadow"),
    ]


def test_of_two_creatures_colours_sizes_and_sides() -> None:
    colours, sizes, sides = exchanged(PAIR)
    assert (colours.creature.colour, colours.other.colour) == ("blue", "red")
    assert (sizes.creature.size, sizes.other.size) == ("big", "small")
    assert sides.relation == "right of"


def test_nothing_is_exchanged_where_nothing_differs() -> None:
    assert exchanged(Scene(Creature("cat", "red", "big", "nothing"), "night")) == []


@pytest.mark.parametrize("scene", [CAT, PAIR])
def test_one_thing_is_altered_and_all_of_them_sometimes(scene: Scene) -> None:
    names = set()
    for i in range(400):
        before, after = scene.attributes, altered(scene, i / 400).attributes
        different = [name for name in before if before[name] != after[name]]
        assert len(different) == 1
        names.add(different[0])
    fixed = {"relation", "accessory", "other_accessory"} if scene is PAIR else set()
    assert names == set(scene.attributes) - fixed


def test_no_training_caption_speaks_of_what_is_held_out_even_wrongly() -> None:
    pictures = Creatures(16, 4, 3)
    for wrong in pictures.wrong_captions(0, 1500):
        assert len(wrong) == COUNT
        for told in wrong:
            assert not is_held_out(read_prompt(told)), told


@pytest.mark.slow
def test_they_are_wrong_unless_they_read_the_same() -> None:
    pictures = Creatures(16, 4, 3)
    same = 0
    scenes = pictures.scenes(0, 500)
    for scene, right, wrong in zip(
        scenes, pictures.batch(0, 500).captions, pictures.wrong_captions(0, 500), strict=True
    ):
        for told in wrong:
            if told == right:
                same += 1
                continue
            asked = read_prompt(told).attributes
            assert any(scene.attributes[name] != value for name, value in asked.items()), (right, told)
    assert same < 500  # of 2,000


def test_the_phrasing_is_kept() -> None:
    assert wrong_captions(CAT, SAID, [0.0, 0.0, 0.0, 0.0]) == (
        "a little blue cat with a huge red scarf in a meadow",  # the right one: red and blue
        "a little red cat with a huge blue scarf at night",
        "a little red cat with a tiny blue scarf in a meadow",
        "a little red cat with a huge red scarf in a meadow",
    )
    assert "scarf" not in wrong_captions(CAT, SAID, [0.0, 0.0, 0.0, 0.7])[3]


def test_of_what_is_worn_size_and_colour_are_always_told_wrongly() -> None:
    for i in range(200):
        size, worn = (read_prompt(told) for told in wrong_captions(CAT, SAID, [0.5, 0.5, i / 200, i / 200])[2:])
        assert size.creature == replace(CAT.creature, accessory_size=size.creature.accessory_size) != CAT.creature
        name = "accessory_colour" if i < 140 else "accessory"
        assert worn.creature == replace(CAT.creature, **{name: getattr(worn.creature, name)}) != CAT.creature
    assert len(set(wrong_captions(PAIR, SAID, [0.0, 0.1, 0.4, 0.8]))) == COUNT


def test_batches_are_a_function_of_their_place() -> None:
    pictures = Creatures(16, 4, 3)
    assert pictures.wrong_captions(0, 9)[5:] == pictures.wrong_captions(5, 4)
    assert len(pictures.held_out_wrong_captions) == 4
