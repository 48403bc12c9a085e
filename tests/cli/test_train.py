"""From a text to a run and from a run to text, as a person would do it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cutaway.base.runs import open_run, read_jsonl
from cutaway.cli.main import main
from cutaway.cli.train import is_run

TINY = [
    "--model.d-model", "24", "--model.n-layers", "2", "--model.n-heads", "4", "--model.context-length", "16",
    "--train.batch-size", "8", "--train.steps", "30", "--train.threads", "1", "--train.precision", "float32",
    "--train.compile", "off", "--generate.max-tokens", "12", "--prompt", "the ",
]  # fmt: skip


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog; " * 60)
    return path


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def train(text: Path, *arguments: str) -> int:
    return main(["train", "stdlib", "--data.source", str(text), *TINY, *arguments])


def test_train_then_write_then_look(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(text, "--name", "fox", "--json", "--complete", "the q") == 0
    result = answer(capsys)
    assert result["status"] == "finished"
    assert result["steps"] == 30
    assert isinstance(result["completion"], str)
    assert result["validation_loss"] > 0
    run = open_run("fox")
    assert Path(result["run"]) == run.path
    assert {"recipe.toml", "metrics.jsonl", "samples.jsonl", "summary.json", "model", "checkpoints"} <= {
        path.name for path in run.path.iterdir()
    }

    assert main(["generate", "fox", "--prompt", "the q", "--max-tokens", "9", "--json"]) == 0
    written = answer(capsys)["samples"][0]
    assert 1 <= len(written["tokens"]) <= 9
    assert written["tokens"][0]["top"][0]["logprob"] <= 0
    assert main(["generate", "fox", "--prompt", "the q", "--max-tokens", "9"]) == 0
    assert capsys.readouterr().out == "the q" + written["text"] + "\n"
    assert main(["generate", "fox", "--prompt", "the q", "--max-tokens", "9", "--no-cache"]) == 0
    assert capsys.readouterr().out == "the q" + written["text"] + "\n"

    assert main(["generate", "fox", "--prompt", "the q", "--max-tokens", "9", "--int8", "--samples", "2"]) == 0
    assert capsys.readouterr().out.count("the q") == 2

    assert main(["runs"]) == 0
    assert "fox" in capsys.readouterr().out
    assert main(["runs", "show", "fox"]) == 0
    assert "last sample (step 30)" in capsys.readouterr().out
    assert train(text, "--name", "fox", "--quiet") == 1
    assert "run 'fox' exists already" in capsys.readouterr().err
    assert train(text, "--train.learning-rate", "0.001", "--quiet") == 0
    capsys.readouterr()
    assert main(["runs", "compare", "fox", "stdlib-1", "--json"]) == 0
    assert answer(capsys)["differences"]["train.learning_rate"][1] == 0.001
    assert main(["runs", "remove", "fox"]) == 0
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    assert [fact["name"] for fact in answer(capsys)["runs"]] == ["stdlib-1"]


@pytest.mark.slow
def test_a_run_repeats_from_its_own_recipe(text: Path) -> None:
    assert train(text, "--name", "first", "--quiet") == 0
    recipe = open_run("first").recipe_file
    assert main(["train", str(recipe), "--name", "second", "--quiet"]) == 0
    curves = [[line["loss"] for line in open_run(name).metrics()] for name in ("first", "second")]
    assert curves[0] == curves[1]


@pytest.mark.slow
def test_the_words_a_prompt_may_not_have_are_named(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(text, "--name", "fox", "--quiet") == 0
    capsys.readouterr()
    assert main(["generate", "fox", "--prompt", "the 7 foxes"]) == 1
    said = capsys.readouterr().err
    assert "'7'" in said
    assert said.count("\n") == 1


BAD = [
    (["--data.source", "none.txt"], "there is no file or folder 'none.txt'"),
    (["--data.source", "empty.txt"], "nothing to read"),
    (["--data.source", "binary.txt"], "binary"),
    (["--data.source", "short.txt"], "too few for one window of context 16"),
    (["--data.source", "folder"], "has no files"),
    (["--name", "../escape"], "cannot be a folder's name"),
    (["--train.device", "abacus"], "expected one this machine has"),
]


@pytest.mark.parametrize(
    ("arguments", "line"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str], line: str, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (text.parent / "empty.txt").write_text("")
    (text.parent / "short.txt").write_text("too short")
    (text.parent / "binary.txt").write_bytes(b"\x00\xff" * 100)
    (text.parent / "folder").mkdir()
    before = sorted(text.parent.iterdir())
    assert train(text, *arguments, "--quiet") in (1, 2)
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert [path for path in sorted(text.parent.iterdir()) if path not in before and path.name != "cache"] == []


@pytest.mark.slow
def test_a_llama_on_bpe_pieces_trains_and_transformers_reads_it(text: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cutaway import load

    arguments = [
        "--data.source",
        str(text),
        "--data.bpe-vocab-size",
        "300",
        "--model.d-model",
        "24",
        "--model.n-heads",
        "4",
    ]
    arguments += ["--model.n-layers", "2", "--model.context-length", "16", "--model.d-ff", "40", "--train.steps", "4"]
    arguments += ["--train.batch-size", "4", "--train.threads", "1", "--train.precision", "float32", "--prompt", "the "]
    assert main(["train", "llama_tiny", *arguments, "--name", "llama", "--quiet"]) == 0
    folder = open_run("llama").model_folder
    model, tokenizer = load("llama")
    theirs, words = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert words("the quick fox").input_ids == tokenizer.encode("the quick fox")
    tokens = torch.tensor([tokenizer.encode("the quick fox")])
    with torch.no_grad():
        assert torch.allclose(model(tokens), theirs(tokens).logits, atol=1e-4)


@pytest.mark.slow
def test_a_run_whose_text_has_changed_does_not_go_on(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(text, "--name", "fox", "--quiet") == 0
    run = open_run("fox")
    (run.path / "summary.json").unlink()
    run.recipe_file.write_text(run.recipe_file.read_text().replace("steps = 30", "steps = 40"))
    text.write_text(text.read_text().replace("dog", "cat"))
    capsys.readouterr()
    assert main(["train", str(run.path), "--quiet"]) == 1
    assert "has changed since the run started" in capsys.readouterr().err


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cutaway", "train", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip


def wait_for_checkpoint(folder: Path, job: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not (folder.is_dir() and any(path.name.isdigit() for path in folder.iterdir())):
        assert time.monotonic() < deadline
        assert job.poll() is None, job.communicate()[1]
        time.sleep(0.02)


def curve(name: str) -> list[tuple[float, float | None]]:
    return [(line["loss"], line.get("validation_loss")) for line in open_run(name).metrics()]


@pytest.mark.slow
def test_killed_or_interrupted_at_any_moment_a_run_goes_on_as_if_never_stopped(text: Path) -> None:
    """Kill -9 twice, in the middle of writing, then Ctrl-C: the numbers equal those of an uninterrupted run."""
    many = ["stdlib", "--data.source", str(text), *TINY, "--train.steps", "300", "--train.checkpoint-every", "3"]
    many += ["--train.validate-every", "60", "--train.sample-every", "0", "--quiet"]
    assert main(["train", *many, "--name", "whole"]) == 0
    folder = open_run("whole").path.parent / "parts"
    job = start(text.parent, *many, "--name", "parts")
    for _ in range(2):
        wait_for_checkpoint(folder / "checkpoints", job)
        deadline = time.monotonic() + 10
        while not any(p.name.startswith(".") for p in (folder / "checkpoints").iterdir()):
            assert time.monotonic() < deadline
        job.send_signal(signal.SIGKILL)
        job.communicate(timeout=60)
        assert open_run("parts").status() == "stopped"
        job = start(text.parent, "parts", "--quiet")
        time.sleep(1.0)
    reached = len(read_jsonl(folder / "metrics.jsonl"))
    while len(read_jsonl(folder / "metrics.jsonl")) <= reached and job.poll() is None:
        time.sleep(0.02)
    job.send_signal(signal.SIGINT)
    job.communicate(timeout=60)
    assert job.returncode == 0
    assert main(["train", str(folder), "--quiet"]) == 0 or open_run("parts").status() == "finished"
    assert curve("parts") == curve("whole")
    assert not [path for path in (folder / "checkpoints").iterdir() if path.name.startswith(".")]


def test_a_name_is_a_presets_first_then_a_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUTAWAY_RUNS", str(tmp_path))
    for name in ("fox", "names"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.toml").touch()
    assert is_run("fox")
    assert is_run(str(tmp_path / "names"))
    assert not is_run("names")
    assert not is_run("cat")
