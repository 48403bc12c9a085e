"""Runs as the screen gets them equal what lies on the disk, which equals what the model does."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from server.answers import arrays

from cutaway.base.runs import RunFolder
from cutaway.base.tap import listening
from cutaway.cli.main import main
from cutaway.server import job_store
from cutaway.server.app import create_app
from cutaway.server.jobs import Jobs
from cutaway.server.lab import Lab
from cutaway.train.checkpoint import load_checkpoint
from cutaway.workbench import Run

TINY = [
    "--model.d-model", "24", "--model.n-layers", "2", "--model.n-heads", "4", "--model.context-length", "16",
    "--model.ngram-rows", "2000", "2000", "2000",
    "--train.batch-size", "8", "--train.steps", "30", "--train.threads", "1", "--train.precision", "float32",
    "--train.compile", "off", "--generate.max-tokens", "12", "--prompt", "the ", "--train.keep-checkpoints", "all",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: `fox` and, learning slower, `hare`."""
    folder = tmp_path_factory.mktemp("lab")
    text = folder / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog; " * 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUTAWAY_RUNS", str(folder / "runs"))
        patch.setenv("CUTAWAY_CACHE", str(folder / "cache"))
        for name, more in (("fox", []), ("hare", ["--train.learning-rate", "0.0001"])):
            words = ["--data.source", str(text), *TINY, *more, "--name", name, "--quiet"]
            assert main(["train", "stdlib", *words]) == 0
    return folder / "runs"


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture
def lab(home: Path) -> TestClient:
    return TestClient(create_app(Lab(home)))


def test_the_facts_are_those_the_command_line_tells(lab: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["runs"]
    answer = lab.get("/api/runs").json()
    assert [run["name"] for run in answer["runs"]] == ["hare", "fox"]
    for mine in answer["runs"]:
        theirs = next(fact for fact in told if fact["name"] == mine["name"])
        assert {name: value for name, value in mine.items() if value is not None} == theirs
    fox = answer["runs"][1]
    assert (fox["status"], fox["steps"], fox["total_steps"], fox["has_model"]) == ("finished", 30, 30, True)
    assert fox["checkpoints"] == sorted({1, 6, 20, *range(2, 31, 2)})
    assert lab.get("/api/runs/fox").json()["facts"] == fox


def test_metrics_are_the_lines_of_the_file(lab: TestClient, home: Path) -> None:
    lines = RunFolder(home / "fox").metrics()
    meta, columns = arrays(lab.get("/api/runs/fox/metrics"))
    assert meta["rows"] == 30
    flat = [flatten(line) for line in lines]
    assert {metric["name"] for metric in meta["metrics"]} == set(columns) == set().union(*flat)
    for name, column in columns.items():
        expected = [line.get(name, math.nan) for line in flat]
        np.testing.assert_array_equal(column, expected)
    assert np.isnan(columns["validation_loss"]).sum() == 30 - 16
    assert "layer_grad_norms.blocks.0" in columns
    assert columns["learning_rates.muon"].max() == pytest.approx(0.02)
    assert all(metric["meaning"] for metric in meta["metrics"])

    meta, tail = arrays(lab.get("/api/runs/fox/metrics?from=27&only=loss,step"))
    assert list(tail) == ["step", "loss"]
    assert tail["step"].tolist() == [28, 29, 30]
    assert arrays(lab.get("/api/runs/fox/metrics?from=99"))[1]["loss"].shape == (0,)

    rows = list(csv.DictReader(io.StringIO(lab.get("/api/runs/fox/metrics.csv").text)))
    for name, column in columns.items():
        np.testing.assert_array_equal([float(row[name] or "nan") for row in rows], column)


def flatten(line: dict[str, Any]) -> dict[str, float]:
    flat = {name: value for name, value in line.items() if not isinstance(value, dict)}
    for name, values in line.items():
        if isinstance(values, dict):
            flat |= {f"{name}.{layer}": value for layer, value in values.items()}
    return flat


def test_a_growing_file_is_followed_and_a_shortened_one_begun_again(lab: TestClient, home: Path) -> None:
    file = home / "fox" / "metrics.jsonl"
    before, _ = arrays(lab.get("/api/runs/fox/metrics"))
    with file.open("a") as lines:
        lines.write('{"step": 31, "loss": 0.25}\n{"step": 32, "lo')
    grown, columns = arrays(lab.get("/api/runs/fox/metrics?from=30"))
    assert (grown["rows"], columns["loss"].tolist(), grown["version"]) == (31, [0.25], before["version"])
    with file.open("a") as lines:
        lines.write('ss": 0.5}\n')
    assert arrays(lab.get("/api/runs/fox/metrics?from=31"))[1]["loss"].tolist() == [0.5]
    kept = file.read_text().splitlines(keepends=True)[:12]
    other = file.with_name("other")
    other.write_text("".join(kept))
    other.rename(file)
    shorter, columns = arrays(lab.get("/api/runs/fox/metrics"))
    assert shorter["version"] != grown["version"]
    assert columns["step"].tolist() == list(range(1, 13))


def test_every_sample_has_the_same_prompt_and_seed_and_repeats(lab: TestClient, home: Path) -> None:
    samples = lab.get("/api/runs/fox/samples").json()["samples"]
    assert len(samples) == 16
    assert {(sample["prompt"], sample["seed"]) for sample in samples} == {("the ", 0)}
    assert all(sample["text"].startswith("the ") for sample in samples)
    best = lab.get("/api/runs/fox").json()["facts"]["best_step"]
    said = next(sample["text"] for sample in samples if sample["step"] == best)
    assert "the " + Run(home / "fox").generate("the ") == said, "the saved weights, prompt and seed give another text"


def test_histograms_are_those_of_the_checkpoints_weights(lab: TestClient, home: Path) -> None:
    meta, found = arrays(lab.get("/api/runs/fox/histograms?what=weights"))
    assert meta["steps"][0] == 0
    for step in (6, 30):
        _, weights, _ = load_checkpoint(home / "fox" / "checkpoints" / str(step))
        for layer in ("blocks.1", "lm_head"):
            numbers = torch.cat([w.flatten() for name, w in weights.items() if name.startswith(layer)]).double().numpy()
            at = meta["steps"].index(step), meta["layers"].index(layer)
            assert (found["counts"][at] == np.histogram(numbers, found["edges"])[0]).all()
            assert found["total"][at] == len(numbers)
            assert found["highest"][at] == numbers.max()
    for what in ("gradients", "updates", "activations"):
        meta, found = arrays(lab.get(f"/api/runs/fox/histograms?what={what}"))
        assert found["counts"].shape == (len(meta["steps"]), len(meta["layers"]), len(found["edges"]) - 1)
        assert 30 in meta["steps"]
    assert lab.get("/api/runs/fox/histograms?what=dreams").status_code == 400


def test_updates_are_the_differences_of_checkpoints(lab: TestClient, home: Path) -> None:
    """Of n-gram tables only the rows the batch looked up are counted: the others lack only zeros."""
    meta, found = arrays(lab.get("/api/runs/fox/histograms?what=updates"))
    first, second = (load_checkpoint(home / "fox" / "checkpoints" / step)[1] for step in ("1", "2"))
    row = meta["steps"].index(2)
    middle = int(np.searchsorted(found["edges"], 0.0)) - 1
    for place, layer in enumerate(meta["layers"]):
        moved = [(second[name] - first[name]).flatten() for name in first if f"{name}.".startswith(f"{layer}.")]
        counts = np.histogram(torch.cat(moved).double().numpy(), found["edges"])[0]
        recorded = found["counts"][row, place]
        missing = counts - recorded
        assert missing[middle] >= 0
        missing[middle] = 0
        assert not missing.any(), layer
        whole = sum(len(part) for part in moved)
        assert (found["total"][row, place] < 0.1 * whole) == (layer == "added_embeddings")


def test_attention_is_a_softmax_of_what_the_checkpoint_computes(lab: TestClient, home: Path) -> None:
    meta, found = arrays(lab.get("/api/runs/fox/attention"))
    T = len(meta["tokens"])
    assert found["pattern"].shape == (len(meta["steps"]), 2, 4, T, T)
    run = Run(home / "fox")
    model, tokenizer = run.load()
    assert meta["text"] == "".join(meta["tokens"])
    tokens = torch.tensor([tokenizer.encode(meta["text"])])
    for step in (1, 30):
        _, weights, _ = load_checkpoint(home / "fox" / "checkpoints" / str(step))
        model.load_state_dict(weights, strict=False)
        heard: dict[str, list[np.ndarray]] = {"q_BTHD": [], "k_BTGD": []}

        def hear(name: str, value: torch.Tensor, heard: dict[str, list[np.ndarray]] = heard) -> None:
            if name in heard:
                heard[name].append(value[0].double().numpy())

        with torch.no_grad(), listening(hear):
            model.eval()(tokens)
        for layer, (q, k) in enumerate(zip(heard["q_BTHD"], heard["k_BTGD"], strict=True)):
            scores = np.einsum("thd,shd->hts", q, k) * 0.12
            scores[:, ~np.tri(T, dtype=bool)] = -np.inf
            shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
            shares /= shares.sum(axis=-1, keepdims=True)
            recorded = found["pattern"][meta["steps"].index(step), layer]
            np.testing.assert_allclose(recorded, shares, atol=1e-6)
    one, only = arrays(lab.get("/api/runs/fox/attention?step=6"))
    assert one["sent"] == [6]
    np.testing.assert_array_equal(only["pattern"][0], found["pattern"][meta["steps"].index(6)])
    assert lab.get("/api/runs/fox/attention?step=5").status_code == 400


def test_runs_side_by_side(lab: TestClient) -> None:
    answer = lab.get("/api/compare?runs=fox,hare").json()
    assert [run["name"] for run in answer["runs"]] == ["fox", "hare"]
    assert {d["path"]: d["values"] for d in answer["differences"]} == {
        "name": ["fox", "hare"],
        "train.learning-rate": ["0.01", "0.0001"],
    }
    assert answer["differences"][1]["doc"] == "Peak rate of AdamW."
    assert lab.get("/api/compare?runs=").status_code == 400
    assert lab.get("/api/compare?runs=fox,nobody").status_code == 404


def test_a_recipe_with_the_meaning_of_its_settings(lab: TestClient, home: Path) -> None:
    details = lab.get("/api/runs/fox").json()
    assert details["recipe"] == (home / "fox" / "recipe.toml").read_text()
    fields = {field["path"]: field for group in details["groups"] for field in group["fields"]}
    assert fields["train.steps"]["value"] == "30"
    assert fields["train.steps"]["doc"] == "Budget: this many optimizer updates."
    assert "train.learning-rate" in details["changeable"]
    assert not {"model.d-model", "train.optimizer", "train.seed", "data.source"} & set(details["changeable"])
    (home / "fox" / "recipe.toml").write_text("nonsense = [")
    assert lab.get("/api/runs/fox").json()["groups"] == []
    assert lab.get("/api/runs").json()["runs"][0]["total_steps"] in (30, None)
    assert "cannot be read" in lab.get("/api/compare?runs=fox,hare").json()["error"]


def test_delete_and_what_is_not_there(lab: TestClient, home: Path) -> None:
    with RunFolder(home / "fox").locked():
        refused = lab.delete("/api/runs/fox")
        assert refused.status_code == 400
        assert "is being trained; stop it first" in refused.json()["error"]
        assert lab.get("/api/runs/fox").json()["facts"]["status"] == "running"
    assert lab.delete("/api/runs/fox").json() == {"name": "fox"}
    assert not (home / "fox").exists()
    for part in ("", "/metrics", "/metrics.csv", "/samples", "/histograms", "/attention"):
        gone = lab.get(f"/api/runs/fox{part}")
        assert gone.status_code == 404
        assert "there is no run 'fox'" in gone.json()["error"]
    assert lab.delete("/api/runs/fox").status_code == 404
    assert lab.post("/api/runs/fox/resume").status_code == 404


@pytest.mark.parametrize("name", ["%2e%2e", "..%2Fruns", "a%2Fb", ".hidden", "link", "%00"])
def test_no_name_leads_out_of_the_folder(name: str, lab: TestClient, home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "fox", tmp_path / "outside")
    (home / "link").symlink_to(tmp_path / "outside")
    for path in (f"/api/runs/{name}", f"/api/runs/{name}/metrics", f"/api/runs/{name}/attention"):
        assert lab.get(path).status_code in (400, 404)
    assert lab.delete(f"/api/runs/{name}").status_code in (400, 404, 405)
    assert (tmp_path / "outside" / "recipe.toml").is_file()
    assert [run["name"] for run in lab.get("/api/runs").json()["runs"]] == ["hare", "fox"]


def test_a_run_that_diverged_says_why_and_what_to_do(lab: TestClient, home: Path) -> None:
    text = home.parent / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog; " * 60)
    words = ["train", "stdlib", "--data.source", str(text), *TINY, "--train.learning-rate", "1e30", "--name", "wild"]
    assert main([*words, "--train.optimizer", "adamw", "--quiet"]) == 1
    wild = lab.get("/api/runs/wild").json()["facts"]
    assert wild["status"] == "failed"
    assert "not a finite number" in wild["reason"]
    assert "lower train.learning-rate" in wild["advice"]
    meta, _ = arrays(lab.get("/api/runs/wild/metrics"))
    assert meta["rows"] == wild["steps"]


def test_a_run_that_could_not_write_why_it_failed_has_the_reason_of_its_job(
    lab: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Jobs, "start", lambda self: None)
    fox, jobs = home / "fox", Jobs(home)
    (fox / "summary.json").unlink()
    (fox / "metrics.jsonl").write_text("")
    job = jobs.submit(["train", "runs/fox"], "train", "fox")
    job_store.change(home, job.id, "queued", state="failed", reason="the disk is full: could not write x")
    facts = lab.get("/api/runs/fox").json()["facts"]
    assert facts["reason"] == "the disk is full: could not write x"
    assert "free some room" in facts["advice"]


def test_a_damaged_checkpoint_says_which_and_what_to_do(lab: TestClient, home: Path) -> None:
    fox = home / "fox"
    (fox / "summary.json").unlink()
    (fox / "checkpoints" / "30" / "model.safetensors").write_bytes(b"half")
    assert main(["train", str(fox), "--quiet"]) == 1
    facts = lab.get("/api/runs/fox").json()["facts"]
    assert facts["status"] == "failed"
    assert "delete that folder to go on from step 28" in facts["reason"]
    assert "resume from the one before" in facts["advice"]


def test_a_killed_run_says_so(lab: TestClient, home: Path) -> None:
    fox = home / "fox"
    (fox / "summary.json").unlink()
    lines = (fox / "metrics.jsonl").read_text().splitlines(keepends=True)
    (fox / "metrics.jsonl").write_text("".join(lines[:17]))
    facts = lab.get("/api/runs/fox").json()["facts"]
    assert (facts["status"], facts["steps"]) == ("stopped", 17)
    assert "killed (out of memory?)" in facts["reason"]
    assert "resume" in facts["advice"]
