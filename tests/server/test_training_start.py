"""The form to start a run says what the command line says, refuses what it refuses, and starts what it would start."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from server.answers import arrays

from cutaway.base.runs import RunFolder
from cutaway.cli.console import parse
from cutaway.cli.main import main
from cutaway.cli.train import TrainArguments
from cutaway.form import form, limits
from cutaway.form_values import fill
from cutaway.presets import PRESETS, with_changes
from cutaway.recipe import Recipe
from cutaway.server.app import create_app
from cutaway.server.jobs import Jobs
from cutaway.server.lab import Lab

TINY = {
    "model.d-model": "24", "model.n-layers": "2", "model.n-heads": "4", "model.context-length": "16",
    "model.ngram-rows": "500, 500, 500",
    "train.batch-size": "8", "train.steps": "12", "train.threads": "1", "train.precision": "float32",
    "train.compile": "off", "generate.max-tokens": "12", "prompt": "the ",
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    (tmp_path / "fox.txt").write_text("the quick brown fox jumps over the lazy dog; " * 60)
    return folder


@pytest.fixture
def lab(home: Path) -> TestClient:
    return TestClient(create_app(Lab(home)))


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs wait and are not started."""
    monkeypatch.setattr(Jobs, "start", lambda self: None)


def typed(words: list[str]) -> Recipe:
    """Return the recipe that the command line makes of the words behind `cutaway train`."""
    base = PRESETS[words[0]]()
    return with_changes(base, parse(TrainArguments, words[1:], "train", "", TrainArguments(base)).recipe)


def test_presets(lab: TestClient) -> None:
    answer = [preset for preset in lab.get("/api/presets").json() if preset["about"] == "text"]
    assert [preset["name"] for preset in answer] == list(PRESETS)
    assert all(preset["summary"].endswith(".") and preset["parameters"] > 0 for preset in answer)
    stdlib = answer[0]
    assert (stdlib["budget"], stdlib["is_fitted"], stdlib["needs_text"]) == ("2 minutes", True, False)
    assert next(preset for preset in answer if preset["name"] == "shakespeare")["needs_text"]


@pytest.mark.parametrize("preset", ["stdlib", "microgpt", "llama_tiny"])
def test_the_form_says_what_the_help_says(preset: str, lab: TestClient) -> None:
    answer = lab.get(f"/api/form?preset={preset}").json()
    assert [group["name"] for group in answer["groups"]] == ["data", "model", "objective", "train", "generate"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        main(["train", preset, "--help"])
    lines = (line.strip("\u2502\u2503| ") for line in said.getvalue().splitlines())
    help_text = "".join("".join(lines).split())
    fields = [field for group in answer["groups"] for field in group["fields"]]
    for field in fields:
        flag = f"--{field['path']}"
        no = "--" + ".".join([*field["path"].split(".")[:-1], f"no-{field['path'].split('.')[-1]}"])
        assert flag in help_text or no in help_text, f"the command line has no {flag}"
        assert field["doc"]
        assert "".join(field["doc"].split())[:30] in help_text
    assert answer["groups"][1]["kind"] == ("llama" if preset == "llama_tiny" else "gpt")
    paths = {field["path"] for field in fields}
    assert not {"data.text-hash", "model.vocab-size", "start.run"} & paths
    assert ("model.positions" in paths) == (preset != "llama_tiny")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_form_sent_back_as_it_came_changes_nothing(preset: str) -> None:
    base = PRESETS[preset]()
    values = {field.path: field.value for group in form(base) for field in group.fields}
    said = fill(base, values)
    assert (said.recipe, said.words) == (base, [])
    assert set(said.errors) <= {"data.source"}


OTHER = {"number": "0.25", "whole": "4", "text": "2", "list": "3"}


@pytest.mark.parametrize("preset", ["stdlib", "llama_tiny"])
@pytest.mark.slow
def test_the_command_a_form_shows_makes_the_same_recipe(preset: str) -> None:
    base = PRESETS[preset]()
    tried = 0
    for group in form(base):
        for field in group.fields:
            other = OTHER.get(field.kind, "true" if field.value == "false" else "false")
            if field.kind == "choice":
                other = next((choice for choice in field.choices if choice != field.value), field.value)
            for value in [other, ""] if field.is_optional else [other]:
                said = fill(base, {field.path: value})
                if set(said.errors) - {"data.source", "train.minutes"}:
                    continue
                words = ["cutaway", "train", preset, *said.words]
                assert words[:3] == ["cutaway", "train", preset]
                assert typed(words[2:]) == said.recipe, words
                tried += 1
    assert tried > 60
    several = fill(base, {"train.steps": "50", "generate.stop": "a b\nc", "prompt": "-x y", "model.d-model": "64"})
    assert typed([preset, *several.words]) == several.recipe
    assert several.recipe.generate.stop == ("a b", "c")
    assert (several.recipe.train.steps, several.recipe.train.minutes, several.recipe.fit) == (50, None, False)


BAD = [
    ("train.minutes", "-1", "expected more than 0"),
    ("train.minutes", "nan", "expected more than 0"),
    ("train.steps", "1.5", "expected a whole number"),
    ("train.learning-rate", "-0.1", "expected 0 or more"),
    ("train.beta1", "1.5", "expected a share from 0 to 1"),
    ("train.batch-size", "many", "expected a whole number"),
    ("train.schedule", "zigzag", "expected one of stable, cosine, linear"),
    ("train.accumulate", "3", "cannot be worked through"),
    ("model.n-heads", "7", "expected a number of heads that divides it"),
    ("model.dropout", "1", "below 1"),
    ("model.d-model", "1000000000000001", "cannot be split"),
    ("model.bias", "perhaps", "expected true or false"),
    ("model.ngram-rows", "10", "expected a number of rows for each"),
    ("model.ngram-rows", "10, x", "expected whole numbers"),
    ("generate.temperature", "__import__('os')", "not allowed"),
    ("generate.top-p", "0", "above 0"),
    ("data.validation-fraction", "1", "up to, not including, 1"),
    ("data.source", "/nowhere/at/all", "there is no file or folder"),
    ("data.source", "", "expected stdlib"),
    ("data.source", "~nobody-of-this-name/text", "cannot be read"),
    pytest.param("data.source", "x" * 300, "cannot be read", id="a name too long"),
    pytest.param("prompt", "a\0b", "a character of value 0", id="a zero in a text"),
    ("data.text-hash", "0", "there is no setting"),
    ("train.stepz", "1", "did you mean"),
    ("start.run", "x", "there is no setting"),
    ("__class__", "x", "there is no setting"),
]


@pytest.mark.parametrize(("path", "value", "line"), BAD, ids=lambda value: value or "empty")
def test_what_is_wrong_is_said_beside_the_field(path: str, value: str, line: str, lab: TestClient, home: Path) -> None:
    body = {"preset": "stdlib", "values": {path: value, "train.weight-decay": "0.5"}}
    answer = lab.post("/api/check", json=body).json()
    assert set(answer["errors"]) == {path}
    assert line in answer["errors"][path]
    assert "--train.weight-decay 0.5" in answer["command"]
    refused = lab.post("/api/runs", json=body)
    assert (refused.status_code, refused.json()["field"]) == (400, path)
    assert refused.json()["error"] == answer["errors"][path]
    assert list(home.iterdir()) == []


def test_several_mistakes_are_all_said(lab: TestClient, home: Path) -> None:
    (home / "taken").mkdir()
    values = {"train.steps": "10", "train.epochs": "2", "train.beta2": "-1", "model.d-model": "0", "train.seed": "x"}
    answer = lab.post("/api/check", json={"preset": "stdlib", "values": values, "name": "taken"}).json()
    assert set(answer["errors"]) >= {"train.beta2", "model.d-model", "train.seed", "name"}
    assert any("both set" in line for line in answer["errors"].values())
    assert "exists already" in answer["errors"]["name"]
    nothing = lab.post("/api/check", json={"preset": "stdlib", "values": {"train.minutes": ""}}).json()
    assert "how long to train is not said" in nothing["errors"]["train.minutes"]
    for name in ("../x", "a/b", ".x", "uploads"):
        assert "name" in lab.post("/api/check", json={"preset": "stdlib", "name": name}).json()["errors"]
    assert lab.get("/api/form?preset=/etc/passwd").status_code == 400
    assert lab.post("/api/check", json={"preset": "none"}).status_code == 400


def test_a_text_too_short_for_the_context_is_noticed(lab: TestClient, home: Path) -> None:
    (home.parent / "short.txt").write_text("too short")
    values = {"data.source": str(home.parent / "short.txt")}
    answer = lab.post("/api/check", json={"preset": "stdlib", "values": values}).json()
    assert "too few for one window of context 256" in answer["errors"]["model.context-length"]


@pytest.mark.parametrize("preset", ["stdlib", "llama_tiny"])
def test_limits_are_where_the_dataclass_refuses(preset: str) -> None:
    base = PRESETS[preset]()
    seen = 0
    for group in form(base):
        for field in group.fields:
            if field.low is not None and "." in field.path:
                step = 1 if field.kind == "whole" else 1e-9
                below = fill(base, {field.path: repr(field.low - step)})
                assert field.path in below.errors, field.path
                seen += 1
            if field.high is not None:
                assert field.path in fill(base, {field.path: "1.001"}).errors
    assert seen > 25
    assert limits(type(base.train), "seed") == (None, None)
    assert limits(type(base.data), "bpe_vocab_size") == (257.0, None)


@pytest.mark.usefixtures("asleep")
def test_starting_puts_the_command_into_the_queue(lab: TestClient, home: Path) -> None:
    body = {"preset": "names", "values": {"train.minutes": "0.25"}}
    check = lab.post("/api/check", json=body).json()
    job = lab.post("/api/runs", json=body).json()
    assert (job["kind"], job["target"], job["state"]) == ("train", check["name"], "queued")
    assert check["name"] == "names-1"
    assert job["command"] == "cutaway train names --name names-1 --train.minutes 0.25"
    assert lab.post("/api/runs", json=body).json()["target"] == "names-2"
    taken = lab.post("/api/runs", json={**body, "name": "names-2"})
    assert (taken.status_code, taken.json()["field"]) == (400, "name")
    assert lab.post("/api/runs/names-1/stop").json()["state"] == "stopped"
    assert lab.post("/api/runs/names-1/stop").status_code == 404
    assert lab.post("/api/runs", json=body).json()["target"] == "names-1"


@pytest.mark.usefixtures("asleep")
def test_a_full_disk_is_said(lab: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cutaway.server.job_store.make", full)
    refused = lab.post("/api/runs", json={"preset": "names"})
    assert refused.status_code == 422
    assert "the disk is full" in refused.json()["error"]
    monkeypatch.setattr(os, "replace", full)
    kept = lab.post("/api/uploads/a.txt", content=b"some text")
    assert "the disk is full" in kept.json()["error"]
    assert list((home / "uploads").iterdir()) == []


def test_texts_a_person_gives(lab: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "R\u00fcbe und Kohl\n" * 40
    answer = lab.post("/api/uploads/my notes.txt", content=text.encode()).json()
    assert answer == {"source": str(home / "uploads" / "my notes.txt"), "characters": len(text), "lines": 40}
    assert Path(answer["source"]).read_text() == text
    assert lab.post("/api/uploads/my notes.txt", content=text.encode()).status_code == 200
    check = lab.post("/api/check", json={"preset": "stdlib", "values": {"data.source": answer["source"]}}).json()
    assert check["errors"] == {}
    for name, content, line in (
        ("my notes.txt", b"another", "already; rename"),
        ("a.txt", b"\x00\x01", "binary"),
        ("a.txt", "\u00fc".encode("latin-1"), "UTF-8"),
        ("a.txt", b" \n", "empty"),
        (".a.txt", b"text", "cannot be a folder's name"),
    ):
        refused = lab.post(f"/api/uploads/{name}", content=content)
        assert (refused.status_code, line in refused.json()["error"]) == (400, True), refused.text
    monkeypatch.setattr("cutaway.server.routes.uploads.MAX_UPLOAD_BYTES", 100)
    assert "is larger than" in lab.post("/api/uploads/b.txt", content=b"x" * 101).json()["error"]
    for name in ("..%2Fb.txt", "a%2Fb.txt"):
        assert lab.post(f"/api/uploads/{name}", content=b"text").status_code in (400, 404, 405)
    assert [path.name for path in (home / "uploads").iterdir()] == ["my notes.txt"]
    assert lab.get("/api/runs").json()["runs"] == []


def finished(lab: TestClient, number: int) -> dict[str, Any]:
    until = time.monotonic() + 90
    while (job := lab.get(f"/api/jobs/{number}").json())["state"] in ("queued", "running"):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return job


@pytest.mark.slow
def test_started_branched_and_compared_as_a_person_would(home: Path) -> None:
    with TestClient(create_app(Lab(home))) as lab:
        values = {**TINY, "data.source": str(home.parent / "fox.txt")}
        job = lab.post("/api/runs", json={"preset": "stdlib", "values": values, "name": "fox"}).json()
        assert finished(lab, job["id"])["state"] == "done"
        facts = lab.get("/api/runs/fox").json()["facts"]
        assert (facts["status"], facts["steps"]) == ("finished", 12)
        assert "is finished" in lab.post("/api/runs/fox/resume").json()["error"]
        assert "nothing to stop" in lab.post("/api/runs/fox/stop").json()["error"]

        step = facts["checkpoints"][-1]
        body = {"step": step, "values": {"train.learning-rate": "0.001", "train.steps": "16"}, "name": "calmer"}
        check = lab.post("/api/runs/fox/branch/check", json=body).json()
        assert check["errors"] == {}
        assert f"train {home / 'fox'} --name calmer --from-step {step}" in check["command"]
        job = lab.post("/api/runs/fox/branch", json=body).json()
        assert finished(lab, job["id"])["state"] == "done"
        facts = lab.get("/api/runs/calmer").json()["facts"]
        assert (facts["parent"], facts["parent_step"], facts["steps"]) == ("fox", step, 16)
        paths = {d["path"] for d in lab.get("/api/compare?runs=fox,calmer").json()["differences"]}
        assert paths == {"name", "train.learning-rate", "train.steps", "start.run", "start.step"}

        for wrong, field, line in (
            ({"step": 999}, "step", "has no checkpoint of step 999"),
            ({"values": {"model.d-model": "32", "train.steps": "20"}}, "model.d-model", "cannot change in a branch"),
            ({"values": {"train.seed": "3", "train.steps": "20"}}, "train.seed", "held out"),
            ({"values": {"train.steps": str(step)}}, "train.steps", "expected more"),
            ({"name": "fox"}, "name", "exists already"),
        ):
            refused = lab.post("/api/runs/fox/branch", json={**body, "name": "other", **wrong})
            assert (refused.status_code, refused.json()["field"]) == (400, field), refused.text
            assert line in refused.json()["error"]
        assert sorted(run.name for run in map(RunFolder, home.iterdir()) if run.recipe_file.is_file()) == [
            "calmer",
            "fox",
        ]


@pytest.mark.slow
def test_stopped_and_resumed_no_step_is_missing_or_made_twice(home: Path) -> None:
    with TestClient(create_app(Lab(home))) as lab:
        values = {**TINY, "data.source": str(home.parent / "fox.txt"), "train.steps": "3000", "train.sample-every": "0"}
        values["train.validate-every"] = "1000"
        job = lab.post("/api/runs", json={"preset": "stdlib", "values": values, "name": "fox"}).json()
        until = time.monotonic() + 90
        while len(RunFolder(home / "fox").metrics()) < 5:
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.05)
        assert "stop it first" in lab.delete("/api/runs/fox").json()["error"]
        assert "already" in lab.post("/api/runs/fox/resume").json()["error"]
        assert lab.post("/api/runs/fox/stop").json()["id"] == job["id"]
        finished(lab, job["id"])
        facts = lab.get("/api/runs/fox").json()["facts"]
        assert facts["status"] == "stopped"
        assert (facts["reason"], "resume" in facts["advice"]) == (None, True)
        assert facts["steps"] < 3000
        recipe = home / "fox" / "recipe.toml"
        recipe.write_text(recipe.read_text().replace("steps = 3000", f"steps = {facts['steps'] + 5}"))
        job = lab.post("/api/runs/fox/resume").json()
        assert job["command"] == f"cutaway train {home / 'fox'}"
        assert finished(lab, job["id"])["state"] == "done"
        _, columns = arrays(lab.get("/api/runs/fox/metrics?only=step"))
        assert columns["step"].tolist() == list(range(1, facts["steps"] + 6))


@pytest.mark.slow
def test_a_command_that_fails_before_there_is_a_run_leaves_its_reason(home: Path) -> None:
    (home.parent / "folder").mkdir()
    with TestClient(create_app(Lab(home))) as lab:
        body = {"preset": "stdlib", "values": {**TINY, "data.source": str(home.parent / "folder")}, "name": "empty"}
        job = finished(lab, lab.post("/api/runs", json=body).json()["id"])
        assert job["state"] == "failed"
        assert "has no files in it" in job["reason"]
        assert lab.get("/api/runs").json()["runs"] == []


def test_a_prompt_with_quotes_is_quoted_in_the_command(lab: TestClient) -> None:
    body = {"preset": "stdlib", "values": {"prompt": 'say "hi"; rm -rf $HOME `x`\n'}}
    command = lab.post("/api/check", json=body).json()["command"]
    assert shlex.split(command)[-1] == body["values"]["prompt"]
    assert typed(shlex.split(command)[2:]).prompt == body["values"]["prompt"]
