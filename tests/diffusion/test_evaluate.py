"""Prompts and their marks: a perfect painter gets all, planted faults are counted where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from cutaway.diffusion.captions import read_prompt
from cutaway.diffusion.evaluate import Marked, PromptAccuracy, Share, mark, mark_kinds, prompts
from cutaway.diffusion.scene import Creature, Scene, is_held_out
from diffusion.judges import told_judge


def blank(asked: Sequence[str]) -> np.ndarray:
    return np.zeros((len(asked), 32, 32, 3), np.uint8)


def shown_for(prompt: str) -> Scene:
    """Fill in what the prompt leaves open."""
    scene = read_prompt(prompt)
    full = replace(scene.creature, colour=scene.creature.colour or "red")
    if full.accessory != "nothing":
        full = replace(full, accessory_colour=full.accessory_colour or "blue")
    return replace(scene, creature=full, background=scene.background or "night")


def test_prompts_are_of_the_kind_asked_for() -> None:
    for held_out in (False, True):
        asked = prompts(150, 3, held_out)
        assert len(asked) == 150
        assert all(is_held_out(read_prompt(prompt)) == held_out for prompt in asked)
        assert prompts(150, 3, held_out) == asked
    assert any("hat" in p and "tiny" in p and ("cat" in p or "kitty" in p) for p in prompts(150, 3, True))


def test_a_perfect_painter() -> None:
    asked = prompts(80, 0, False) + prompts(40, 0, True)
    marks = mark(told_judge([shown_for(prompt) for prompt in asked]), blank(asked), asked)
    assert marks.overall == Share(120, 120)
    assert all(share.value == 1 for share in marks.attributes.values())


def test_planted_faults_are_counted() -> None:
    asked = ["a red cat wearing a tiny hat", "a blue owl", "a bear at night", "a fox"]
    scenes = [shown_for(prompt) for prompt in asked]
    scenes[0] = replace(scenes[0], creature=replace(scenes[0].creature, colour="green", accessory_size="big"))
    scenes[2] = replace(scenes[2], background="beach")
    marks = mark(told_judge(scenes), blank(asked), asked)
    assert marks.overall == Share(2, 4)
    assert marks.attributes["colour"] == Share(1, 2)
    assert marks.attributes["accessory_size"] == Share(0, 1)
    assert marks.attributes["background"] == Share(0, 1)
    assert marks.attributes["kind"] == Share(4, 4)
    assert marks.examples(3, n_worst=2) == [0, 2, 1]
    told = marks.as_dict()
    assert told["overall"]["share"] == 0.5
    assert told["marked"][0]["is_right"] is False


def test_wilsons_interval() -> None:
    """Figures of Newcombe (1998), table I: 81 of 263 and 0 of 20."""
    assert Share(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert Share(0, 20).interval == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert Share(0, 0).interval == (0.0, 1.0)
    assert PromptAccuracy([Marked("a cat", {"kind": True})]).overall.interval[1] == pytest.approx(1)


def test_nothing_asked_of_an_unknown_prompt() -> None:
    scene = Scene(Creature("cat", "red", "big", "nothing"), "night")
    marks = mark(told_judge([scene]), blank(["words"]), ["words"])
    assert marks.marked[0].verdict == {}


def test_a_label_asks_for_a_creature_of_its_kind_alone_or_not() -> None:
    alone = Scene(Creature("cat", "red", "small", "nothing"), "plain")
    two = Scene(Creature("owl", "red", "small"), "plain", "left of", Creature("dog", "blue", "big"))
    marks = mark_kinds(told_judge([alone, two, two]), blank("..."), ["cat", "dog", "cat"])
    assert [one.is_right for one in marks.marked] == [True, True, False]
