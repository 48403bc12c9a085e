"""Best of n as a person would use it: learned once and kept, and its gain measured on what it has not seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tune.small import config_of
from voice.authors import Author

from cutaway import workbench
from cutaway.cli.main import main
from cutaway.interop.conversations import conversation, read_conversations, write_conversations
from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.presets_voice import tuned
from cutaway.text.bpe import BPETokenizer
from cutaway.voice.rerank import load_reranker

QUICK: dict[str, Any] = {
    "epochs": None, "steps": 40, "threads": 1, "validate_every": 40, "sample_every": 0, "learning_rate": 0.01,
    "precision": "float32",
}  # fmt: skip
ONE = Author(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run tuned for some seconds on an author that is a Markov chain."""
    place = tmp_path_factory.mktemp("ranking")
    texts = {f"piece-{i}": ONE.text(90, i) for i in range(18)}
    tokenizer = BPETokenizer.train(["### Prompt:\n### Response:\n Write about 0123456789", *texts.values()], 400)
    shape = dataclasses.replace(config_of("cutaway", tokenizer.vocab_size), context_length=400)
    save_folder(place / "base", build(shape, 0), tokenizer)
    pairs = [
        conversation(f"Write about {i}.", text, source=name, tier="note")
        for i, (name, text) in enumerate(texts.items())
    ]
    (place / "voice").mkdir()
    write_conversations(place / "voice" / "train.jsonl", pairs[:12])
    write_conversations(place / "voice" / "held_out.jsonl", pairs[12:])
    made = tuned(str(place / "base"), place / "voice", "full")
    recipe = dataclasses.replace(made, train=dataclasses.replace(made.train, **QUICK))
    workbench.train(recipe, name="me", runs=place / "runs")
    return place


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CUTAWAY_RUNS", str(place / "runs"))
    monkeypatch.chdir(place)
    return place


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["voice", "best", "me", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_the_best_answer_is_chosen_and_the_ranking_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("Write about 3.", "--of", "2", "--max-tokens", "150")
    told = said(capsys, *words, "--measure")
    assert len(told["answers"]) == 2
    scores = [one["score"] for one in told["answers"]]
    assert told["ranking"]["n_own"] == 12
    assert told["best"] in range(2)
    gain = told["gain"]
    assert gain["n"] == 2
    # answers of a model this small may be too short to judge: then that is said
    assert gain["sentence"].startswith(("Choosing the best of 2 answers", "The gain of choosing among 2: not enough"))
    (file,) = (here / "runs" / "me").glob("ranking-*.npz")
    ranking = load_reranker(file)
    for side, seen in (("train", True), ("held_out", False)):
        texts = [one.messages[-1].content for one in read_conversations(here / "voice" / f"{side}.jsonl")]
        assert {ranking.has_seen(text) for text in texts} == {seen}
    made = file.stat().st_mtime_ns
    assert [one["score"] for one in said(capsys, *words)["answers"]] == scores
    assert file.stat().st_mtime_ns == made


def test_what_cannot_be_is_said_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("me",), ("me", "a", "--of", "1"), ("nobody", "a"), ("me", "a", "--max-tokens", "0")):
        assert main(["voice", "best", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["voice", "best", "me", "a", "--of", "2", "--max-tokens", "2"]) == 1
    assert "the ranking cannot be trained" in capsys.readouterr().err
