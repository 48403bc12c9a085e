"""What tuning moved, and exports, through the lab: the numbers of the Python API, jobs as a person would type them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from server.answers import arrays as read_arrays
from voice.tuned_runs import make_base, make_tuned, make_writing

from cutaway.base.runs import RunFolder
from cutaway.cli.main import main
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.voice.before_after import open_tuned
from cutaway.voice.change import weight_change


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    base, writing = make_base(home / "base"), make_writing(home / "writing")
    make_tuned(home, "lora-1", base, writing)
    make_tuned(home, "full-1", base, writing, "full")
    plain = RunFolder(home / "plain-1")
    plain.path.mkdir()
    plain.recipe_file.write_text("")
    return home


@pytest.fixture(scope="module")
def lab(home: Path) -> Lab:
    return Lab(home)


@pytest.fixture
def client(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("CUTAWAY_RUNS", str(lab.home))
    monkeypatch.setattr(lab.jobs, "start", lambda: None)  # queued, not run
    return TestClient(create_app(lab))


@pytest.mark.parametrize("name", ["lora-1", "full-1"])
def test_what_was_measured_is_told(client: TestClient, home: Path, name: str) -> None:
    before = client.get("/api/voice/change", params={"run": name}).json()
    assert (before["found"], before["is_current"], before["problem"]) == (None, False, "")
    assert main(["voice", "change", name]) == 0
    told = client.get("/api/voice/change", params={"run": name}).json()
    assert told["is_current"]
    both = open_tuned(RunFolder(home / name))
    expected = weight_change(both.base, both.tuned, both.factors)
    found = told["found"]["weights"]
    assert found["sentence"] == expected.sentence()
    assert [one["name"] for one in found["matrices"]] == [one.name for one in expected.matrices]
    assert [one["relative"] for one in found["heads"]] == [one.relative for one in expected.heads]
    assert told["found"]["read"] == "held-out answers"
    assert told["found"]["tokens"]["documents"][0]["gain_bits"][0] is None
    matrix = found["matrices"][0]
    assert matrix["trace"] is None
    assert main(["voice", "change", name, "--matrix", matrix["name"]]) == 0
    again = client.get("/api/voice/change", params={"run": name}).json()["found"]["weights"]["matrices"][0]
    facts = {one["name"] for one in client.get("/api/traces").json()}
    assert again["trace"] in facts
    answer = client.get("/api/voice/change/matrix", params={"run": name, "name": matrix["name"]})
    meta, arrays = read_arrays(answer)
    difference = both.tuned.get_parameter(matrix["name"]) - both.base.get_parameter(matrix["name"])
    assert [meta["rows"], meta["columns"]] == matrix["shape"]
    np.testing.assert_allclose(arrays["values"], difference.detach().numpy(), atol=1e-6)
    seen = client.get("/api/microscope/tensor", params={"trace": again["trace"], "address": "product", "most": 1 << 16})
    np.testing.assert_allclose(read_arrays(seen)[1]["values"], arrays["values"], atol=1e-6)


def test_a_model_that_changed_since_is_noticed(client: TestClient, home: Path, tmp_path: Path) -> None:
    make_tuned(home, "again-1", home / "base", home / "writing", steps=2)
    assert main(["voice", "change", "again-1"]) == 0
    assert client.get("/api/voice/change", params={"run": "again-1"}).json()["is_current"]
    other = make_tuned(tmp_path, "again-1", home / "base", home / "writing", steps=4)
    (home / "again-1" / "model" / "adapter_model.safetensors").write_bytes(
        (other.model_folder / "adapter_model.safetensors").read_bytes()
    )
    assert not client.get("/api/voice/change", params={"run": "again-1"}).json()["is_current"]
    (home / "again-1" / "change.json").write_text('{"read": 3}')
    assert client.get("/api/voice/change", params={"run": "again-1"}).json()["found"] is None


def test_jobs_are_what_a_person_would_type(client: TestClient) -> None:
    def submitted(path: str, **body: Any) -> Any:
        answer = client.post(f"/api/voice/{path}", json=body).json()
        return answer.get("command") or answer["error"]

    assert submitted("change", run="lora-1") == "cutaway voice change lora-1"
    assert submitted("change", run="lora-1", matrix="blocks.0.mlp.up_proj.weight") == (
        "cutaway voice change lora-1 --matrix=blocks.0.mlp.up_proj.weight"
    )
    assert "no matrix's name" in submitted("change", run="lora-1", matrix="--out /etc")
    assert submitted("export", run="lora-1", to="gguf", type="q8_0") == (
        "cutaway voice export lora-1 --to gguf --type q8_0"
    )
    assert submitted("export", run="full-1", to="hf", force=True) == "cutaway voice export full-1 --to hf --force"
    assert "no adapter" in submitted("export", run="full-1", to="adapter")
    assert "has no type 'q8_0'" in submitted("export", run="full-1", to="hf", type="q8_0")
    assert "there is no form" in submitted("export", run="full-1", to="zip")


def test_exports_are_listed(client: TestClient) -> None:
    told = client.get("/api/voice/export", params={"run": "full-1"}).json()
    assert {one["to"]: bool(one["problem"]) for one in told["forms"]} == {"hf": False, "adapter": True, "gguf": False}
    assert told["made"] == []
    assert main(["voice", "export", "full-1", "--to", "gguf", "--type", "q8_0"]) == 0
    (made,) = client.get("/api/voice/export", params={"run": "full-1"}).json()["made"]
    assert made["name"] == "gguf-q8_0"
    assert made["size_bytes"] > 10_000
    assert made["said"].startswith("read back: logits off by")
    assert {one["problem"] for one in client.get("/api/voice/export", params={"run": "lora-1"}).json()["forms"]} == {""}


def test_what_is_not_there_is_said(client: TestClient) -> None:
    told = client.get("/api/voice/change", params={"run": "plain-1"}).json()
    assert "no model yet" in told["problem"]
    forms = client.get("/api/voice/export", params={"run": "plain-1"}).json()["forms"]
    assert all("no model yet" in one["problem"] for one in forms)
    assert client.get("/api/voice/change", params={"run": "nobody"}).status_code == 404
    missing = client.get("/api/voice/change/matrix", params={"run": "lora-1", "name": "lm_head.weight"})
    assert "no correction" in missing.json()["error"]
    vector = client.get("/api/voice/change/matrix", params={"run": "full-1", "name": "final_norm.weight"})
    assert "is a vector" in vector.json()["error"]
