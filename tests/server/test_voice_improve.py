"""Better answers through the lab: what is kept in a run is told, and jobs are what a person would type."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from voice.tuned_runs import make_base, make_tuned, make_writing

from cutaway.base.runs import RunFolder
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.voice.best_kept import KEPT, keep_best

TOLD = {
    "run": "me-1", "prompt": "the sea", "best": 1, "of": 2, "max_tokens": 9, "temperature": 1.0, "seed": 0,
    "answers": [{"text": "grey", "score": -0.5}, {"text": "wide", "score": 0.25}],
    "ranking": {"n_own": 3, "n_outputs": 3, "auc": 0.9, "sentence": "The ranking learned."},
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_tuned(home, "me-1", make_base(home / "base"), make_writing(home / "writing"), steps=1)
    plain = RunFolder(home / "plain-1")
    plain.path.mkdir()
    plain.recipe_file.write_text("")
    return home


@pytest.fixture
def lab(home: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("CUTAWAY_RUNS", str(home))
    (home / "me-1" / KEPT).unlink(missing_ok=True)
    for made in home.glob("preferred-*"):
        shutil.rmtree(made)
    lab = Lab(home)
    monkeypatch.setattr(lab.jobs, "start", lambda: None)  # queued, not run
    return lab


@pytest.fixture
def client(lab: Lab) -> TestClient:
    return TestClient(create_app(lab))


def told(client: TestClient, run: str = "me-1") -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/voice/improve", params={"run": run}).json()
    return found


def test_what_is_kept_is_told_the_newest_first(client: TestClient, home: Path) -> None:
    assert told(client) == {
        "run": "me-1", "problem": "", "answered": [], "ranking": None, "gain": None, "preferred": [],
    }  # fmt: skip
    run = RunFolder(home / "me-1")
    keep_best(run, TOLD)
    keep_best(run, TOLD | {"prompt": "snow", "seed": 1, "gain": {"n": 2, "sentence": "It gains."}})
    keep_best(run, {"prompt": "of another version"})
    with (run.path / KEPT).open("a") as file:
        file.write('{"prompt": "cut o')
    found = told(client)
    assert [(one["prompt"], one["seed"]) for one in found["answered"]] == [("snow", 1), ("the sea", 0)]
    assert found["answered"][1]["answers"] == TOLD["answers"]
    assert found["answered"][1]["best"] == 1
    assert found["ranking"]["sentence"] == "The ranking learned."
    assert found["gain"]["sentence"] == "It gains."
    keep_best(run, TOLD | {"prompt": "after a crash"})  # the torn line is dropped, and no other
    assert [one["prompt"] for one in told(client)["answered"]] == ["after a crash", "snow", "the sea"]


def test_jobs_are_what_a_person_would_type(client: TestClient) -> None:
    def words(path: str, **asked: Any) -> list[str]:
        answer = client.post(f"/api/voice/improve/{path}", json={"run": "me-1", **asked})
        assert answer.status_code == 200, answer.text
        return shlex.split(answer.json()["command"])[1:]

    start = ["voice", "best", "me-1", "--of", "8", "--max-tokens", "200"]
    assert words("best", prompt=" the sea ") == [*start, "--", "the sea"]
    assert words("best", prompt="--help me", seed=3) == [*start, "--seed", "3", "--", "--help me"]
    assert words("best", measure=True) == [*start, "--measure"]
    start = ["voice", "prefer", "me-1", "--pairs"]
    assert words("prefer") == [*start, "200", "--method", "lora", "--name", "preferred-1"]
    assert words("prefer", pairs=5, method="full") == [*start, "5", "--method", "full", "--name", "preferred-2"]
    assert words("prefer", name="nearer") == [*start, "200", "--method", "lora", "--name", "nearer"]


def test_what_cannot_be_is_said_in_one_line(client: TestClient) -> None:
    def refused(path: str, says: str, field: str = "", **asked: Any) -> None:
        answer = client.post(f"/api/voice/improve/{path}", json={"run": "me-1", **asked})
        assert answer.status_code in (400, 404, 422), answer.text
        assert says in answer.json()["error"]
        assert "\n" not in answer.json()["error"]
        if field:
            assert answer.json()["field"] == field

    refused("best", "nothing to answer", "prompt", prompt="  ")
    refused("best", "of", "of", prompt="a", of=1)
    refused("best", "prompt", "prompt", prompt="a" * 5000)
    refused("best", "not tuned", run="plain-1", prompt="a")
    refused("best", "nobody", run="nobody", prompt="a")
    refused("prefer", "exists already", "name", name="me-1")
    refused("prefer", "pairs", "pairs", pairs=0)
    assert "not tuned" in told(client, "plain-1")["problem"]


def test_runs_that_prefer_are_listed(client: TestClient, home: Path) -> None:
    for number, (base, task) in enumerate([("me-1", "preferences"), ("me-1", "answers"), ("other", "preferences")]):
        run = RunFolder(home / f"preferred-{number}")
        run.path.mkdir()
        run.recipe_file.write_text(f"[tune]\nbase = {json.dumps(base)}\ntask = {json.dumps(task)}\n")
        run.write_summary({"status": "finished", "preference": {"accuracy": 0.75, "margin": 0.1, "loss": 0.6}})
    found = told(client)["preferred"]
    assert found == [{"name": "preferred-0", "status": "finished", "accuracy": 0.75, "margin": 0.1}]
