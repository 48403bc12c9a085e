"""A branch with nothing changed makes the parent's numbers bit for bit; what cannot change is refused in one line."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cutaway.base.config import read_toml
from cutaway.base.runs import RunFolder, open_run, read_jsonl
from cutaway.base.snapshots import read_attention
from cutaway.cli.main import main
from cutaway.recipe import Recipe

TINY = [
    "--model.d-model", "24", "--model.n-layers", "2", "--model.n-heads", "4", "--model.context-length", "16",
    "--model.ngram-rows", "2000", "2000", "2000",
    "--model.dropout", "0.1", "--train.batch-size", "8", "--train.threads", "1", "--train.precision", "float32",
    "--train.compile", "off", "--generate.max-tokens", "12", "--prompt", "the ", "--train.validate-every", "5",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a run."""
    folder = tmp_path_factory.mktemp("branch")
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog; " * 60)
    words = ["--data.source", "text.txt", *TINY, "--train.steps", "20", "--train.keep-checkpoints", "all"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CUTAWAY_RUNS", "runs")
        patch.setenv("CUTAWAY_CACHE", str(folder / "cache"))
        assert main(["train", "stdlib", *words, "--name", "fox", "--quiet"]) == 0
    return folder


@pytest.fixture
def parent(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A copy of the run that a test may change."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return open_run("fox")


def branch(parent: RunFolder, step: int, *words: str) -> int:
    return main(["train", str(parent.path), "--from-step", str(step), "--quiet", *words])


def without_time(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    marks = ("seconds", "tokens_per_second", "memory_bytes", "inherited")
    return [{name: value for name, value in line.items() if name not in marks} for line in lines]


def same_bytes(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("step", [5, 10])
@pytest.mark.slow
def test_a_branch_with_nothing_changed_makes_the_same_numbers(step: int, parent: RunFolder) -> None:
    assert branch(parent, step, "--name", "twin") == 0
    twin = open_run("twin")
    assert without_time(twin.metrics()) == without_time(parent.metrics())
    assert [line["step"] for line in twin.metrics() if line.get("inherited")] == list(range(1, step + 1))
    assert [line for line in twin.metrics() if line["step"] <= step] == [
        line | {"inherited": 1} for line in parent.metrics()[:step]
    ]
    assert without_time(twin.samples()) == without_time(parent.samples())
    lines = [without_time(read_jsonl(run.path / "snapshots" / "histograms.jsonl")) for run in (parent, twin)]
    assert lines[0] == lines[1]
    patterns = [read_attention(run.path / "snapshots").files for run in (parent, twin)]
    assert patterns[0].keys() == patterns[1].keys() == {0, 5, 10, 15, 20}
    assert all(same_bytes(file, patterns[1][at]) for at, file in patterns[0].items())
    for name in ("model", "optimizer"):
        place = Path("checkpoints") / "20" / f"{name}.safetensors"
        assert same_bytes(parent.path / place, twin.path / place)
    assert same_bytes(parent.model_folder / "model.safetensors", twin.model_folder / "model.safetensors")


@pytest.mark.slow
def test_the_recipe_says_where_it_began_and_repeats_it(parent: RunFolder) -> None:
    assert branch(parent, 10, "--name", "calm", "--train.learning-rate", "0.001", "--train.steps", "30") == 0
    calm = open_run("calm")
    recipe = read_toml(Recipe, calm.recipe_file)
    assert (recipe.start.run, recipe.start.step, recipe.train.learning_rate) == ("fox", 10, 0.001)
    assert "branched from run fox at step 10" in calm.recipe_file.read_text()
    rates = {line["step"]: line["learning_rates"]["adamw"] / line["rate"] for line in calm.metrics()}
    assert rates[10] == pytest.approx(0.01)
    assert rates[11] == pytest.approx(0.001)
    assert len(rates) == 30
    assert main(["train", str(calm.recipe_file), "--name", "again", "--quiet"]) == 0
    assert without_time(open_run("again").metrics()) == without_time(calm.metrics())
    assert branch(calm, 30, "--name", "longer", "--train.steps", "33") == 0
    longer = open_run("longer")
    assert [line["step"] for line in longer.metrics()] == list(range(1, 34))
    assert read_toml(Recipe, longer.recipe_file).start.run == "calm"


@pytest.mark.slow
def test_a_branch_that_was_stopped_goes_on(parent: RunFolder) -> None:
    assert branch(parent, 10, "--name", "twin") == 0
    twin = open_run("twin")
    (twin.path / "summary.json").unlink()
    for step in (15, 20):
        shutil.rmtree(twin.checkpoints_folder / str(step))
    assert main(["train", str(twin.path), "--quiet"]) == 0
    assert without_time(twin.metrics()) == without_time(parent.metrics())


@pytest.mark.slow
def test_a_branch_keeps_the_best_of_its_past_or_begins_anew_where_it_is_gone(parent: RunFolder) -> None:
    state_file = parent.checkpoints_folder / "15" / "state.json"
    state = json.loads(state_file.read_text())
    state_file.write_text(json.dumps(state | {"best_step": 5, "best_loss": 0.0}))  # nothing will be better than step 5
    assert branch(parent, 15, "--name", "kept") == 0
    kept = open_run("kept")
    assert (kept.summary() or {})["best_step"] == 5
    assert {path.name for path in kept.checkpoints_folder.iterdir()} == {"5", "15", "20"}
    assert (kept.model_folder / "model.safetensors").is_file()
    shutil.rmtree(parent.checkpoints_folder / "5")
    assert branch(parent, 15, "--name", "anew") == 0
    assert (open_run("anew").summary() or {})["best_step"] == 20


REFUSED = [
    (["--model.d-model", "32"], "model.d_model is 32 but was 24"),
    (["--model.n-layers", "3"], "model.n_layers is 3 but was 2"),
    (["--data.source", "other.txt"], "data.source"),
    (["--train.optimizer", "adamw"], "the checkpoint remembers"),
    (["--train.seed", "1"], "it decides what is held out"),
    (["--train.steps", "10"], "expected more"),
    (["--from-step", "7"], "it has those of step 5, 10, 15, 20"),
    (["--from-step", "x"], "--from-step is 'x'"),
    (["--name", "fox"], "exists already"),
]


@pytest.mark.parametrize(
    ("words", "line"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_cannot_be_is_refused_in_one_line(
    words: list[str], line: str, parent: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    start = [] if "--from-step" in words else ["--from-step", "10"]
    assert main(["train", str(parent.path), *start, *words, "--quiet"]) in (1, 2)
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert [path.name for path in parent.path.parent.iterdir()] == ["fox"]


def test_a_full_disk_leaves_no_half_branch(
    parent: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cutaway.branch.shutil.copytree", full)
    assert branch(parent, 10, "--name", "twin") == 1
    assert "the disk is full" in capsys.readouterr().err
    assert [path.name for path in parent.path.parent.iterdir()] == ["fox"]


@pytest.mark.slow
def test_a_budget_in_minutes_is_for_what_is_left(parent: RunFolder) -> None:
    assert branch(parent, 20, "--name", "longer", "--train.minutes", "0.02") == 0
    assert (open_run("longer").summary() or {})["steps"] > 20
