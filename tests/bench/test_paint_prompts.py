"""A painter judged: of words, of labels, of neither; drawings handed in as paintings come out as drawings."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cutaway.base.errors import UsageError
from cutaway.bench import paint_prompts
from cutaway.bench.paint_prompts import judge_painter, judged_table
from cutaway.cli.bench import main
from cutaway.diffusion.captions import read_prompt
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.evaluate import prompts
from cutaway.diffusion.picture_files import to_uint8
from cutaway.diffusion.pictures import Creatures
from cutaway.diffusion.scene import KINDS, Creature, Scene
from diffusion.judges import told_judge

TRAINED_ON = Creatures(32, 8, seed=0)
SAMPLING = PaintSamplingConfig()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instead of painting, hand in the first training drawings; note what was asked."""
    asked: list[str] = []

    def paint(painter: Any, prompts: Sequence[str], sampling: PaintSamplingConfig, seeds: Sequence[int]) -> Any:
        asked.extend(prompts)
        assert len(set(seeds)) == len(seeds) == len(prompts)
        return SimpleNamespace(pictures=to_uint8(TRAINED_ON.batch(seeds[0], len(seeds)).x_BCYX))

    monkeypatch.setattr(paint_prompts, "paint", paint)
    return asked


def painter(**parts: Any) -> Any:
    return SimpleNamespace(**{"text": None, "names": ()} | parts)


def test_words_seen_and_held_out_are_counted_apart(asked: list[str]) -> None:
    both = [prompts(20, 0, held_out) for held_out in (False, True)]
    scenes = [read_prompt(prompt) for prompt in both[0]] + [Scene(Creature("cat"))] * 20
    whole = [Scene(s.creature, s.background or "plain", s.relation, s.other) for s in scenes]
    judged = judge_painter(painter(text=object()), SAMPLING, told_judge(whole), TRAINED_ON, 20, n_training=100)
    assert asked == both[0] + both[1]
    assert judged.sets["seen"].attributes["kind"].value == 1
    assert judged.sets["held out"].attributes["kind"].value < 0.5
    pictures, marked = judged.examples(16)
    assert pictures.shape == (16, 32, 32, 3)
    assert not marked[8].is_right
    table = judged_table(judged)
    assert "held out: all that was asked" in table
    assert "75 %" in table
    assert judged.as_dict()["prompts"]["seen"]["overall"]["asked"] == 20


def test_copies_of_training_drawings_are_found(asked: list[str]) -> None:
    judged = judge_painter(painter(), SAMPLING, told_judge([]), TRAINED_ON, 30, n_training=60)
    assert asked == [""] * 30
    assert not judged.sets
    facts = {fact.what: fact.value for fact in judged.facts}
    assert facts["painted nearer to one than all but 1 % of fresh drawings"] == 100
    assert facts["nearest of 60 training drawings, painted, of the range"] < 1


def test_labels(asked: list[str]) -> None:
    shown = [Scene(Creature(kind, "red", "small", "nothing"), "plain") for kind in KINDS]
    shown[1] = Scene(Creature("owl", "red", "small"), "plain", "left of", Creature("dog", "blue", "big"))
    shown[2] = shown[0]
    judged = judge_painter(painter(names=KINDS), SAMPLING, told_judge(shown), TRAINED_ON, 8, n_training=20)
    assert asked == list(KINDS)
    assert [one.is_right for one in judged.sets["labels"].marked] == [True, True, False, *[True] * 5]
    with pytest.raises(UsageError, match="the judge knows creatures"):
        judge_painter(painter(names=("0", "1")), SAMPLING, told_judge([]), TRAINED_ON, 8)


def test_pictures_it_cannot_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = SimpleNamespace(pictures=np.zeros((4, 28, 28, 1), np.uint8))
    monkeypatch.setattr(paint_prompts, "paint", lambda *_: grey)
    with pytest.raises(UsageError, match="colour pictures of 32"):
        judge_painter(painter(), SAMPLING, told_judge([]), TRAINED_ON, 4)


def test_a_run_that_is_not_there() -> None:
    with pytest.raises(Exception, match="nothing-here"):
        main(["paint", "--run", "nothing-here"])
    with pytest.raises(UsageError, match="1 or more"):
        main(["paint", "--run", "x", "--prompts", "0"])
