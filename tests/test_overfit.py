"""Three pairs are learned by heart, or it is said what is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tune.small import make_base, make_writing, pairs

from cutaway import workbench
from cutaway.interop.conversations import conversation
from cutaway.interop.hub_folder import load_folder
from cutaway.overfit import asked_again, short_pairs
from cutaway.presets_voice import tuned
from cutaway.recipe import Recipe
from cutaway.tune.chat_form import chat_form


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("overfit")
    make_base(place / "base", "gpt2", "bpe")
    make_writing(place / "voice", 6, 2)
    return place


def recipe_of(place: Path, method: Any = "full", **train: Any) -> Recipe:
    made = tuned(str(place / "base"), place / "voice", method)
    return dataclasses.replace(made, train=dataclasses.replace(made.train, threads=1, **train))


@pytest.mark.slow
def test_three_pairs_are_known_and_asked_again_they_come(place: Path) -> None:
    outcome = workbench.overfit(recipe_of(place, learning_rate=0.01))
    assert outcome.ok, outcome.said
    assert outcome.n_pairs == 3
    assert outcome.loss_after < 0.05 < outcome.loss_before
    assert "word for word" in outcome.said


@pytest.mark.slow
def test_a_rate_of_nothing_and_one_far_too_high_are_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway.overfit.STEPS", 20)
    nothing = workbench.overfit(recipe_of(place, learning_rate=1e-9))
    assert not nothing.ok
    assert "nothing learns at a rate of 1e-09" in nothing.said
    wild = workbench.overfit(recipe_of(place, learning_rate=5.0))
    assert not wild.ok
    assert "too high; try --train.learning-rate 1" in wild.said
    slow = workbench.overfit(recipe_of(place, learning_rate=4e-3))
    assert not slow.ok
    assert "still falling" in slow.said


def test_a_base_that_knows_nothing_is_told_from_a_wrong_format(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway.overfit.STEPS", 20)
    outcome = workbench.overfit(recipe_of(place, "lora"))
    assert "the base knows nothing" in outcome.said


def test_asking_in_another_form_than_it_trained_is_told(place: Path) -> None:
    """Planted: a form whose questions are others than those it trained on, and one that forgets the stop."""
    model, tokenizer = load_folder(place / "base")
    assert tokenizer is not None
    form = chat_form(place / "base", tokenizer)
    said = asked_again(model, form, pairs(1))
    assert "the template asks in another form than it trains" in said


def test_pairs_with_the_same_question_are_not_chosen_together(place: Path) -> None:
    _, tokenizer = load_folder(place / "base")
    assert tokenizer is not None
    form = chat_form(place / "base", tokenizer)
    same = [conversation("Write.", answer) for answer in ("A hat.", "The sea.", "Bread.")]
    assert len(short_pairs(same, form, 160)) == 1
    chosen = short_pairs([*same, *pairs(4)], form, 160)
    assert len(chosen) == 3
    assert [len(example.tokens) for _, example in chosen] == sorted(len(example.tokens) for _, example in chosen)
