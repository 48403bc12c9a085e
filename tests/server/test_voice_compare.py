"""The Compare tab's answers: side by side, blind until rated, results equal to the functions' on the same votes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from server.writings import make_compared

from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.voice.canaries import canaries_of
from cutaway.voice.compare import ballots, side_of
from cutaway.voice.compare_votes import results
from cutaway.voice.ratings import Ratings
from cutaway.voice.rubric import NAMES

ASKED = {"writing": "voice", "models": "me-1,hf:small/base"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_compared(tmp_path_factory.mktemp("lab") / "home")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Lab(home))) as client:
        yield client


@pytest.mark.slow
def test_answers_are_the_files(client: TestClient, home: Path) -> None:
    said = client.get("/api/voice/compare", params=ASKED).json()
    canaries = canaries_of(home / "voice")
    mine = side_of("me-1", canaries, home / "voice", home / "me-1")
    assert [one["name"] for one in said["prompts"]] == [one.name for one in canaries.prompts]
    assert {(one["prompt"], one["sample"]): one["text"] for one in said["answers"] if one["model"] == "me-1"} == {
        key: one.text for key, one in mine.answers.items()
    }
    assert {one["name"]: one["kind"] for one in said["choosable"]} == {"hf:small/base": "base"}  # me-1 has no weights
    assert [one["answers"] for one in said["sides"]] == [len(canaries.prompts)] * 2
    assert said["command"].startswith("cutaway voice compare me-1 hf:small/base --writing /")
    differences = client.get(
        "/api/voice/compare/differences",
        params={"writing": "voice", "first": "me-1", "second": "hf:small/base", "prompt": canaries.prompts[0].name},
    ).json()["parts"]
    first = "".join(part["text"] for part in differences if part["where"] != "second")
    assert first == mine.answers[canaries.prompts[0].name, 0].text
    assert any(part["where"] == "both" for part in differences)


def test_blind_until_rated_and_counted_after(client: TestClient, home: Path) -> None:
    canaries = canaries_of(home / "voice")
    pair = client.get("/api/voice/compare/pair", params=ASKED | {"rater": "anna"}).json()
    assert "me-1" not in json.dumps(pair)
    assert "base" not in json.dumps(pair)
    total = pair["total"]
    for number in range(total):
        assert pair["left_to_rate"] == total - number
        choice = "left" if "own" in pair["left"] else "right"
        answer = client.post(
            "/api/voice/compare/vote",
            json={"writing": "voice", "models": ["me-1", "hf:small/base"], "rater": "anna", "place": pair["place"],
                  "choice": choice, "seconds": 2.5},
        )  # fmt: skip
        said = answer.json()
        assert said[choice] == "me-1"
        pair = said["following"]
    assert pair["place"] is None
    again = client.post(
        "/api/voice/compare/vote",
        json={"writing": "voice", "models": ["me-1", "hf:small/base"], "rater": "anna", "place": 0, "choice": "left"},
    )
    assert again.status_code == 400
    assert "still to rate" in again.json()["error"]
    told = client.get("/api/voice/compare/results", params=ASKED).json()
    sides = [side_of(name, canaries, home / "voice", home / name if name == "me-1" else None)
             for name in ("me-1", "hf:small/base")]  # fmt: skip
    votes = Ratings(home, home / "voice").votes()
    theirs = results(sides, votes, []).as_dict()
    assert {name: told[name] for name in theirs if name not in ("grades", "graded")} == {
        name: theirs[name] for name in theirs if name not in ("grades", "graded")
    }
    assert told["wins"]["me-1"]["value"] == 1
    assert told["own"]["same"]["value"] == 1
    assert told["votes"] == total == len(ballots(sides, canaries))
    assert told["raters"]["anna"] == total


def test_grades_are_blind_and_kept(client: TestClient, home: Path) -> None:
    first = client.get("/api/voice/compare/answer-to-grade", params=ASKED | {"rater": "ben"}).json()
    assert [one["name"] for one in first["rubric"]] == list(NAMES)
    assert "me-1" not in json.dumps(first)
    body: dict[str, Any] = {"writing": "voice", "models": ["me-1", "hf:small/base"], "rater": "ben"}
    grades = {name: 1 + number % 5 for number, name in enumerate(NAMES)}
    said = client.post("/api/voice/compare/grades", json={**body, "place": first["place"], "grades": grades}).json()
    assert said["model"] == ("me-1" if "own" in first["text"] else "hf:small/base")
    assert said["following"]["left_to_grade"] == first["total"] - 1
    told = client.get("/api/voice/compare/results", params=ASKED).json()
    assert told["graded"] == 1
    assert {name: one["value"] for name, one in told["grades"][said["model"]].items()} == grades
    wrong = client.post("/api/voice/compare/grades", json={**body, "place": 1, "grades": {"rhythm": 9}})
    assert "expected 1 to 5" in wrong.json()["error"]


def test_everything_is_exported(client: TestClient, home: Path) -> None:
    ratings = Ratings(home, home / "voice")
    answer = client.get("/api/voice/compare/export", params={"writing": "voice"})
    assert "ratings-voice.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == len(ratings.votes()) + len(ratings.grades())
    data = client.get("/api/voice/compare/export", params={"writing": "voice", "form": "json"}).json()
    assert data["votes"] == [vars(one) for one in ratings.votes()]


@pytest.mark.parametrize(
    ("models", "expected"),
    [("nobody", "no model 'nobody'"), ("../me-1", ""), ("me-1,me-1", "each once"), ("a,b,c,d,e", "at most 4"),
     ("/etc", ""), ("hf:other/base", "")],
)  # fmt: skip
def test_only_models_of_the_lab(client: TestClient, models: str, expected: str) -> None:
    answer = client.get("/api/voice/compare", params={"writing": "voice", "models": models})
    assert answer.status_code in (400, 404)
    assert expected in answer.json()["error"]


@pytest.mark.slow
def test_without_pairs_it_says_what_comes_first(tmp_path: Path) -> None:
    (tmp_path / "voice").mkdir()
    (tmp_path / "voice" / "pieces.jsonl").write_text("")
    with TestClient(create_app(Lab(tmp_path))) as client:
        said = client.get("/api/voice/compare", params={"writing": "voice"}).json()
    assert "there are no pairs" in said["problem"]


def test_answering_is_a_job(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    lab = client.app.state.lab  # type: ignore[attr-defined]
    job = {"id": 1, "kind": "voice", "target": "me-1", "command": "", "state": "queued", "reason": "", "said": "",
           "created": 0, "started": None, "ended": None}  # fmt: skip
    monkeypatch.setattr(lab.jobs, "submit", lambda *words: asked.append(words) or job)
    client.post("/api/voice/compare/answer", json={"writing": "voice", "models": ["me-1"]})
    words, kind, target = asked[0]
    assert (words[:3], words[-1], kind, target) == (["voice", "compare", "me-1"], "--answer", "voice", "me-1")
