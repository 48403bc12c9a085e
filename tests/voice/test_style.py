"""Style and rhythm: one hand is within its own spread, another is not; the formulas by hand; nothing from too little."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from voice.authors import Author, essays

from cutaway.voice.delta import deltas, rates
from cutaway.voice.openings import openings, shape_of
from cutaway.voice.rhythm import memory, rhythm, spread
from cutaway.voice.style import marks_of, richness, style
from cutaway.voice.yardstick import compared

ONE, OTHER = Author(1), Author(2)
OWN = ONE.texts(16)


def test_delta_is_its_formula() -> None:
    own = [["a b a c", "a a b d"], ["b b a c"], ["a c c d"]]
    outputs = ["a a a a", "b c d a"]
    ours, theirs = deltas(own, outputs)

    def rate(text: str) -> np.ndarray:
        return np.array([text.split().count(word) / 4 for word in "abcd"])

    def reference(text: str, without: int) -> float:
        rest = np.array([rate(part) for i, parts in enumerate(own) if i != without for part in parts])
        deviation = rest.std(0, ddof=1)
        known = deviation > 0
        return float(np.abs((rate(text) - rest.mean(0))[known] / deviation[known]).mean())

    flat = [(part, i) for i, parts in enumerate(own) for part in parts]
    np.testing.assert_allclose(ours, [reference(part, i) for part, i in flat])
    np.testing.assert_allclose(theirs, [np.mean([reference(text, i) for i in range(3)]) for text in outputs])


def test_a_text_is_no_distance_from_texts_like_itself() -> None:
    own = [[OWN["text-0"]], [OWN["text-0"]], [OWN["text-1"]]]
    mean = rates(own, [OWN["text-0"]])[1][1:].mean(0)
    assert mean.shape[0] > 10
    same = {f"copy {i}": OWN["text-0"] for i in range(6)}
    found = style(same, same)
    assert found.delta.own == found.delta.outputs == (0.0,) * 6
    assert found.group_delta.outputs == (0.0,) * len(found.group_delta.outputs)
    assert found.delta.verdict == "within"
    assert rhythm(same, same).sentence_distribution.median is not None


def test_one_hand_is_within_and_another_outside() -> None:
    more, others = ONE.texts(12, seed=5), OTHER.texts(12, seed=6)
    same, different = style(OWN, more), style(OWN, others)
    assert same.delta.verdict == same.group_delta.verdict == "within"
    assert different.delta.verdict == different.group_delta.verdict == "above"
    assert len([one for one in different.all() if one.verdict != "within"]) >= 4
    assert abs(different.words[0].z) > 2 * abs(same.words[0].z)
    assert different.group_delta.median is not None
    assert same.group_delta.high is not None
    assert different.group_delta.median > 2 * same.group_delta.high
    assert rhythm(OWN, more).sentence_length.verdict == "within"
    assert rhythm(OWN, others).sentence_length.verdict != "within"
    assert rhythm(OWN, others).sentence_distribution.verdict == "above"


@pytest.mark.slow
def test_essays_of_one_author_lie_within_their_own_spread(shared_data: Path) -> None:
    all_essays = list(essays(shared_data).items())
    first, second = dict(all_essays[::2]), dict(all_essays[1::2])
    for found in (style(first, second), rhythm(first, second)):
        assert all(one.verdict == "within" for one in found.all())
    plays = (shared_data / "tinyshakespeare.txt").read_text(encoding="utf-8")
    play = {str(i): plays[8000 * i : 8000 * (i + 1)] for i in range(12)}
    assert style(first, play).group_delta.verdict == "above"
    assert rhythm(first, play).paragraph_length.verdict == "below"


def test_the_order_of_texts_does_not_matter() -> None:
    outputs = ONE.texts(6, seed=3)
    for figures in (style, rhythm):
        turned = figures(dict(reversed(OWN.items())), dict(reversed(outputs.items())))
        assert turned.as_dict() == figures(OWN, outputs).as_dict()


@pytest.mark.parametrize(
    ("own", "outputs"),
    [
        ({}, {}),
        ({"one": OWN["text-0"]}, {"a": "Hello.", "b": "", "c": "no"}),
        (OWN, {"a": "...", "b": "x " * 500}),
        ({str(i): "same " * 100 for i in range(6)}, {str(i): "- - -" for i in range(6)}),
    ],
)
def test_too_little_is_said(own: dict[str, str], outputs: dict[str, str]) -> None:
    for found in (style(own, outputs), rhythm(own, outputs)):
        assert "not enough data" in found.sentence().lower()
        assert all(one.verdict == "not enough data" for one in found.all())
        json.dumps(found.as_dict(), allow_nan=False)


def test_texts_without_any_spread_are_no_mistake() -> None:
    dull = {str(i): "same " * 100 for i in range(6)}
    for found in (style(dull, dull), rhythm(dull, dull), style(OWN, dull), rhythm(OWN, dull)):
        json.dumps(found.as_dict(), allow_nan=False)


def test_richness_is_its_formula() -> None:
    tokens = ONE.text(300, 1).lower().replace(",", "").replace(".", "").split()
    slow = np.mean([len(set(tokens[i : i + 50])) / 50 for i in range(len(tokens) - 49)])
    assert richness(tokens) == pytest.approx(slow, abs=1e-12)
    assert richness(["a", "b", "a"]) == pytest.approx(2 / 3)
    assert richness([]) == 0


def test_punctuation_is_counted_in_kinds() -> None:
    text = "\u201cWell-known\u201d -- he didn\u2019t (so) know... \u2014 so?!"
    assert marks_of(text) == {'"': 2, "-": 2, "(": 2, "\u2026": 1, "?": 1, "!": 1}


def test_memory_of_sentence_lengths() -> None:
    assert memory([3, 9] * 20) == pytest.approx(-39 / 40)
    assert memory([3] * 20 + [9] * 20) > 0.9
    assert math.isnan(memory([5] * 20))
    assert math.isnan(memory([1, 2, 3]))
    assert math.isnan(spread([1, 2]))
    assert spread([1, 2, 3, 4]) == pytest.approx(np.std([1, 2, 3, 4], ddof=1))


def test_openings_that_are_always_alike_are_noticed() -> None:
    alike = {name: "In today's world, things change. " + text for name, text in ONE.texts(8, 60, seed=9).items()}
    found = openings(OWN, alike)
    assert (found.outputs_alike, next(iter(found.output_words))) == (1.0, "in")
    assert found.p_value is not None
    assert 0 < found.p_value <= 0.01
    calm = openings(OWN, ONE.texts(8, 60, seed=11))
    assert calm.p_value is not None
    assert calm.p_value > 0.05
    assert [shape_of(s) for s in ("\u201cNo,\u201d he said.", "Why?", "So!)", "It was.")] == [
        "quotation", "question", "exclamation", "statement"
    ]  # fmt: skip


def test_the_yardstick() -> None:
    own = [float(i) for i in range(11)]
    figure = compared("Length of words", "letters", own, [4.0, 5.0, 6.0, 7.0, 100.0], 1)
    assert (figure.low, figure.high, figure.median, figure.verdict) == (1, 9, 6, "within")
    assert figure.sentence() == "Length of words: 1.0 to 9.0 letters in your own writing, 6.0 in the model's: within."
    assert compared("x", "", own, [9.5] * 5).verdict == "above"
    assert compared("x", "", own, [0.5] * 5).verdict == "below"
    assert compared("x", "", own, [math.nan] * 9).why.startswith("11 of your texts and 0 of the model's")
