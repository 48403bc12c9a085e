"""What is held out is never in the training stream, and is spread over everything a scene can be."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from cutaway.diffusion.scene import (
    ACCESSORIES,
    ACCESSORY_SIZES,
    BACKGROUNDS,
    COLOURS,
    HELD_OUT,
    KINDS,
    SIZES,
    Creature,
    Scene,
    is_held_out,
)
from cutaway.diffusion.scene_stream import held_out_scenes, training_scenes


def test_training_never_draws_what_is_held_out() -> None:
    scenes = training_scenes(3, 0, 8000)
    assert not any(map(is_held_out, scenes))
    creatures = [c for scene in scenes for c in (scene.creature, scene.other) if c is not None]
    assert not any(c.kind == "cat" and c.accessory == "hat" and c.accessory_size == "tiny" for c in creatures)


def test_every_cat_in_a_tiny_hat_is_held_out() -> None:
    for colour in COLOURS:
        for size in SIZES:
            for background in (*BACKGROUNDS, None):
                assert is_held_out(Scene(Creature("cat", colour, size, "hat", "tiny", None), background))
    assert is_held_out(Scene(Creature("cat", accessory="hat", accessory_size="tiny")))
    assert not is_held_out(Scene(Creature("cat", "red", "normal", "hat", "normal", "blue"), "plain"))
    in_a_pair = Scene(
        Creature("bear", "red", "normal", "nothing"), "plain", "left of", Creature("fox", "purple", "small")
    )
    assert is_held_out(in_a_pair)


def test_an_eighth_of_the_combinations_is_held_out() -> None:
    """Counted over all scenes of one creature, each accessory as often as the stream draws it."""
    held_out = every = 0.0
    for kind in KINDS:
        for colour in COLOURS:
            for size in SIZES:
                for background in BACKGROUNDS:
                    for accessory in ACCESSORIES:
                        worn = [(None, None)]
                        if accessory != "nothing":
                            worn = [(s, "white") for s in ACCESSORY_SIZES]  # its colour is in no rule
                        for worn_size, worn_colour in worn:
                            creature = Creature(kind, colour, size, accessory, worn_size, worn_colour)
                            every += 1 / len(worn)
                            held_out += is_held_out(Scene(creature, background)) / len(worn)
    assert 0.10 < held_out / every < 0.15


@pytest.mark.slow
def test_all_values_are_trained_evenly_and_a_sixth_are_pairs() -> None:
    scenes = training_scenes(0, 500, 6000)
    assert 0.13 < sum(scene.other is not None for scene in scenes) / len(scenes) < 0.2
    alone = [scene.creature for scene in scenes if scene.other is None]
    for name, values in (("kind", KINDS), ("colour", COLOURS), ("size", SIZES), ("accessory", ACCESSORIES)):
        counts = Counter(getattr(creature, name) for creature in alone)
        assert set(counts) == set(values)
        assert min(counts.values()) > 0.7 * len(alone) / len(values)
    assert {scene.background for scene in scenes} == set(BACKGROUNDS)
    assert all(creature.accessory_colour != creature.colour for creature in alone)


def test_the_held_out_stream_covers_every_rule_and_nothing_else() -> None:
    scenes = held_out_scenes(1, 0, 600)
    assert all(map(is_held_out, scenes))
    for rule in HELD_OUT:
        assert any(all(scene.attributes.get(name) == value for name, value in rule.items()) for scene in scenes)
    for scene in scenes:
        worn = scene.creature.accessory
        assert scene.other is None
        assert scene.creature.accessory_colour != scene.creature.colour
        assert (
            (worn == "nothing") == (scene.creature.accessory_size is None) == (scene.creature.accessory_colour is None)
        )


def test_a_stream_is_a_pure_function_of_index_and_seed() -> None:
    for stream in (training_scenes, held_out_scenes):
        whole = stream(7, 0, 50)
        assert stream(7, 20, 10) == whole[20:30]
        assert stream(8, 0, 50) != whole


def test_attributes_are_what_is_said() -> None:
    scene = Scene(Creature("cat", size="normal", accessory="nothing"), None, "left of", Creature("owl", "blue"))
    assert scene.attributes == {
        "kind": "cat",
        "size": "normal",
        "accessory": "nothing",
        "relation": "left of",
        "other_kind": "owl",
        "other_colour": "blue",
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        scene.background = "night"  # type: ignore[misc]
