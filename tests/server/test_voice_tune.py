"""The Tune tab's answers: the recipe's own form, the examples as the training reads them, the command a person types."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from server.writings import make_tunable

from cutaway.form import form
from cutaway.interop.conversations import read_conversations
from cutaway.presets_voice import tuned
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.text.tokenizer import load_tokenizer
from cutaway.tune.chat_form import chat_form
from cutaway.tune.examples import make_examples

ASKED = {"writing": "voice", "base": "models/small"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tunable(tmp_path_factory.mktemp("lab") / "home")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Lab(home))) as client:
        yield client


@pytest.mark.parametrize("method", ["lora", "full", "lora4"])
def test_the_form_is_the_recipes(client: TestClient, home: Path, method: Any) -> None:
    said = client.get("/api/voice/tune/form", params=ASKED | {"method": method}).json()
    recipe = tuned(str(home / "models" / "small"), home / "voice", method)
    theirs = {field.path: field.value for group in form(recipe) for field in group.fields}
    shown = {field["path"]: field["value"] for group in said["groups"] for field in group["fields"]}
    assert shown.items() <= theirs.items()
    assert shown["train.learning-rate"] == theirs["train.learning-rate"]
    assert set(said["main"]) <= set(shown)
    assert ("tune.rank" in said["main"]) == (method != "full")


def test_the_look_is_what_training_reads(client: TestClient, home: Path) -> None:
    said = client.get("/api/voice/tune/look", params=ASKED).json()
    base = home / "models" / "small"
    reader = chat_form(base, load_tokenizer(base))
    for side in ("learned", "held_out"):
        file = home / "voice" / ("train.jsonl" if side == "learned" else "held_out.jsonl")
        kept = make_examples(read_conversations(file), reader, said["context"]).kept
        assert said[side] == [len(one.tokens) for one in kept]
        if side == "learned":
            assert said["n_learned"] == sum(one.n_learned for one in kept)
            assert [[(part["text"], part["is_learned"]) for part in one["stretches"]] for one in said["examples"]] == [
                one.marked(reader) for one in kept
            ]
    assert (said["too_long"], said["problems"], said["has_template"]) == (0, [], False)
    longest = max(said["learned"])
    short = client.get("/api/voice/tune/look", params=ASKED | {"context": longest - 2}).json()
    assert short["too_long"] == sum(count - 1 > longest - 2 for count in said["learned"]) > 0


def test_what_is_wrong_is_said_beside_its_field(client: TestClient, home: Path) -> None:
    filled = {**ASKED, "values": {"tune.rank": "0", "train.epochs": "many", "train.batch-size": "2"}, "name": "a/b"}
    said = client.post("/api/voice/tune/check", json=filled).json()
    assert set(said["errors"]) == {"tune.rank", "train.epochs", "name"}
    refused = client.post("/api/voice/tune", json=filled)
    assert refused.status_code == 400
    assert refused.json()["field"] in said["errors"]


def test_the_memory_is_counted_before_anything_is_loaded(client: TestClient, home: Path) -> None:
    few, many = (
        client.post("/api/voice/tune/check", json={**ASKED, "values": {"train.batch-size": size}}).json()["memory"]
        for size in ("2", "64")
    )
    assert few["fits"]
    assert few["needed"] < many["needed"]
    assert few["parts"]["weights"] == many["parts"]["weights"] > 0
    full = client.post("/api/voice/tune/check", json={**ASKED, "method": "full"}).json()["memory"]
    assert full["parts"]["gradients"] > few["parts"]["gradients"]


def test_it_starts_the_command_a_person_types(client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    job = {"id": 1, "kind": "train", "target": "x", "command": "", "state": "queued", "reason": "", "said": "",
           "created": 0, "started": None, "ended": None}  # fmt: skip
    lab = client.app.state.lab  # type: ignore[attr-defined]
    monkeypatch.setattr(lab.jobs, "submit", lambda *words: asked.append(words) or job)
    filled = {**ASKED, "method": "full", "values": {"train.epochs": "3"}, "name": "mine"}
    said = client.post("/api/voice/tune/check", json=filled).json()
    client.post("/api/voice/tune", json=filled)
    words, kind, target = asked[0]
    assert (kind, target, said["errors"]) == ("train", "mine", {})
    assert shlex.split(said["command"]) == ["cutaway", *words]
    assert words == ["voice", "tune", str(home / "voice"), "--base", str(home / "models" / "small"), "--method", "full",
                     "--name", "mine", "--train.epochs", "3"]  # fmt: skip


@pytest.mark.parametrize("base", ["../small", "/etc", "hf:some/model", "nobody", ""])
def test_only_models_of_the_lab(client: TestClient, base: str) -> None:
    for path in ("form", "look"):
        answer = client.get(f"/api/voice/tune/{path}", params={"writing": "voice", "base": base})
        assert 400 <= answer.status_code < 500, answer.text


def test_a_folder_of_the_lab_stays_one_after_a_run_was_tuned_from_it(tmp_path: Path) -> None:
    home = make_tunable(tmp_path / "home")
    run = home / "mine"
    run.mkdir()
    base = home / "models" / "small"
    (run / "recipe.toml").write_text(f'name = "mine"\n[data]\nsource = "voice/train.jsonl"\n[tune]\nbase = "{base}"\n')
    client = TestClient(create_app(Lab(home)))
    assert client.get("/api/voice/tune/form", params=ASKED).status_code == 200
    assert client.get("/api/voice/tune/look", params=ASKED).status_code == 200
