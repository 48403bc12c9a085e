"""A run that prefers: from a tuned model's own answers to a model that leans to one's own; stopped, it goes on exactly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from toy import StopAt
from tune.small import make_base, make_writing

import cutaway
from cutaway import workbench
from cutaway.base.errors import ConfigError, DataError
from cutaway.base.runs import read_jsonl
from cutaway.cli.main import main
from cutaway.interop.conversations import read_conversations
from cutaway.presets_voice import preferring, tuned
from cutaway.recipe import Recipe
from cutaway.tune.chat_form import chat_form
from cutaway.tune.preferences import read_preferences, write_preferences
from cutaway.voice.preference_pairs import preference_pairs

QUICK: dict[str, Any] = {
    "epochs": None, "steps": 8, "threads": 1, "validate_every": 4, "sample_every": 0, "learning_rate": 0.005,
    "precision": "float32",
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tuned run, and one that came of asking it."""
    place = tmp_path_factory.mktemp("preferred")
    make_base(place / "base", "llama", "bpe")
    make_writing(place / "voice", 10, 3)
    made = tuned(str(place / "base"), place / "voice")
    recipe = dataclasses.replace(made, train=dataclasses.replace(made.train, **QUICK))
    workbench.train(recipe, name="me-1", runs=place / "runs")
    return place


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CUTAWAY_RUNS", str(place / "runs"))
    monkeypatch.chdir(place)
    return place


def recipe_of(place: Path, **train: Any) -> Recipe:
    voice = place / "voice"
    files = voice / "preferences-me-1.jsonl", voice / "preferences-me-1-held-out.jsonl"
    made = preferring("me-1", *files, runs=place / "runs")
    return dataclasses.replace(made, train=dataclasses.replace(made.train, **{**QUICK, **train}))


@pytest.mark.slow
def test_as_a_person_would(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["voice", "prefer", "me-1", "--answer-tokens", "6", "--steps", "2", "--threads", "1", "--quiet"]
    assert main([*words, "--name", "me-2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    pairs, held_out = (read_preferences(Path(file)) for file in told["files"])
    assert (len(pairs), len(held_out)) == (10, 3)
    own = {one.messages[-1].content for one in read_conversations(here / "voice" / "train.jsonl")}
    assert {one.chosen for one in pairs} == own
    assert not {one.rejected for one in pairs} & own
    assert told["validation_loss"] == pytest.approx(told["preference"]["loss"], rel=1e-5)
    recipe = workbench.Run(here / "runs" / "me-2").recipe
    assert recipe.tune is not None
    assert (recipe.tune.task, recipe.tune.answer_tokens) == ("preferences", 6)
    model, _ = cutaway.load("me-2")
    assert model.config == cutaway.load("me-1")[0].config
    assert main([*words, "--pairs", "2"]) == 0
    assert "leans to your answer" in capsys.readouterr().out


@pytest.mark.slow
def test_it_learns_and_goes_on_as_if_it_had_not_stopped(place: Path) -> None:
    voice, (model, tokenizer) = place / "voice", cutaway.load(place / "runs" / "me-1")
    form = chat_form(place / "runs" / "me-1" / "model", tokenizer)
    for side, end in (("train", ""), ("held_out", "-held-out")):
        made = preference_pairs(model, form, read_conversations(voice / f"{side}.jsonl"), 20)
        write_preferences(voice / f"preferences-me-1{end}.jsonl", made.pairs)
    whole = workbench.train(recipe_of(place), name="whole", runs=place / "runs")
    halved = workbench.train(recipe_of(place), name="halved", runs=place / "runs", watcher=StopAt(5))
    assert halved.status() == "stopped"
    workbench.resume(halved)
    losses = [[line["loss"] for line in read_jsonl(run.path / "metrics.jsonl")] for run in (whole, halved)]
    assert losses[0] == losses[1]
    assert losses[0][0] == pytest.approx(0.6931, abs=1e-4)
    summary = whole.summary() or {}
    assert summary["preference"]["margin"] > 0.02
    assert summary["preference"]["accuracy"] == 1
    assert summary["validation_loss"] < 0.69


def test_what_cannot_be_is_said_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voice", "prefer", "nobody"]) == 2
    assert main(["voice", "prefer", "me-1", "--pairs", "0"]) == 2
    assert main(["voice", "prefer", "me-1", "--beta", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 3
    plain = recipe_of(here)
    answers = {"source": "train.jsonl", "held_out": "held_out.jsonl"}  # not preferences
    data = dataclasses.replace(plain.data, **{name: str(here / "voice" / file) for name, file in answers.items()})
    with pytest.raises(DataError, match=r"pair 1 of .*: `rejected` is not one answer"):
        workbench.train(dataclasses.replace(plain, data=data), runs=here / "runs")
    assert plain.tune is not None
    with pytest.raises(ConfigError, match="answer_tokens is 0"):
        dataclasses.replace(plain.tune, answer_tokens=0)
