"""What a caption says is what is read from it, for every phrasing; and it says no more than the scene shows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.diffusion.captions import caption, read_prompt
from cutaway.diffusion.counted import uniforms
from cutaway.diffusion.scene import Creature, Scene, is_held_out
from cutaway.diffusion.scene_stream import held_out_scenes, training_scenes

NEVER_LEFT_OUT = {"kind", "size", "accessory", "accessory_size", "relation", "other_kind", "other_size"}


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.lists(st.floats(0, 1, exclude_max=True), min_size=16, max_size=16))
def test_what_is_said_is_read(index: int, held_out: bool, numbers: list[float]) -> None:
    scene = (held_out_scenes if held_out else training_scenes)(5, index, 1)[0]
    told = caption(scene, numbers)
    read, shown = read_prompt(told).attributes, scene.attributes
    assert {name: shown.get(name) for name in read} == read, told
    assert set(shown) - set(read) <= {"colour", "background", "accessory_colour", "other_colour"}, told
    # begin and end make two more tokens
    assert len(re.findall(r"\w+|,", told)) <= 22, told
    if not held_out:
        assert not is_held_out(read_prompt(told)), told


def test_there_are_many_ways_to_say_it() -> None:
    scene = Scene(Creature("rabbit", "red", "small", "hat", "tiny", "blue"), "night")
    ways = {caption(scene, numbers) for numbers in uniforms(0, range(400), 16).tolist()}
    assert len(ways) > 150


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            "a cat wearing a tiny hat",
            Scene(Creature("cat", None, "normal", "hat", "tiny")),
        ),
        (
            "A red cat left of a small blue owl.",
            Scene(
                Creature("cat", "red", "normal", "nothing"),
                None,
                "left of",
                Creature("owl", "blue", "small", "nothing"),
            ),
        ),
        (
            "huge green boots on a little snail by the sea",
            Scene(Creature("snail", None, "small", "boots", "big", "green"), "beach"),
        ),
        ("an owl with a small scarf", Scene(Creature("owl", None, "normal", "scarf", "tiny"))),
        ("a tiny fox", Scene(Creature("fox", None, "small", "nothing"))),
        ("", Scene()),
        ("quarterly results", Scene()),
    ],
)
def test_prompts_by_people(prompt: str, expected: Scene) -> None:
    assert read_prompt(prompt) == expected
