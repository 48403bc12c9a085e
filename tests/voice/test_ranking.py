"""Best of n as a person would use it: learned once and kept, and its gain measured on what it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from voice.ranked_run import make_ranked

from cutaway.base.runs import RunFolder
from cutaway.cli.main import main
from cutaway.interop.conversations import read_conversations
from cutaway.voice.best_kept import kept_best
from cutaway.voice.rerank import load_reranker


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ranked(tmp_path_factory.mktemp("ranking"))


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CUTAWAY_RUNS", str(place / "runs"))
    monkeypatch.chdir(place)
    return place


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["voice", "best", "me", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


@pytest.mark.slow
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
    others = said(capsys, *words, "--seed", "1")["answers"]
    assert [one["text"] for one in others] != [one["text"] for one in told["answers"]]
    assert file.stat().st_mtime_ns == made  # what chooses learned once, whatever the seed of the answers
    kept = kept_best(RunFolder(here / "runs" / "me"))
    assert [(one["prompt"], one["seed"], one["of"]) for one in kept] == [(words[0], seed, 2) for seed in (1, 0, 0)]
    assert {name: kept[-1][name] for name in told} == told
    assert kept[0]["answers"] == others


def test_what_cannot_be_is_said_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("me",), ("me", "a", "--of", "1"), ("nobody", "a"), ("me", "a", "--max-tokens", "0")):
        assert main(["voice", "best", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["voice", "best", "me", "a", "--of", "2", "--max-tokens", "2"]) == 1
    assert "the ranking cannot be trained" in capsys.readouterr().err
