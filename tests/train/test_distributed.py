"""Two processes train as one does; a killed rank ends the job with a clear line and the run goes on, also alone.

Every job here is the real command under torchrun, on the CPU with gloo.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from cutaway.base.runs import RunFolder, read_jsonl
from cutaway.base.snapshots import read_attention, read_histograms
from cutaway.cli.main import main

RECIPE = """
name = "tiny"
[data]
source = "text.txt"
[model]
context_length = 16
d_model = 24
n_layers = 2
n_heads = 4
ngram_sizes = [2, 3]
ngram_rows = [400, 300]
[train]
steps = {steps}
batch_size = 8
precision = "float32"
compile = "off"
threads = 1
validate_every = 10
sample_every = 10
ema = 0.9
optimizer = "{optimizer}"
[generate]
max_tokens = 8
"""


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "CUTAWAY_RUNS": str(folder / "runs"),
        "CUTAWAY_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(Path(__file__).parents[2] / "src"), os.environ.get("PYTHONPATH")])
        ),
    }


def command(n_processes: int, *arguments: str) -> list[str]:
    launcher = [sys.executable, "-m"]
    if n_processes > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}", "-m"]
    return [*launcher, "cutaway", "train", *arguments]


def prepare(folder: Path, steps: int, optimizer: str = "muon") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog; " * 60)
    (folder / "tiny.toml").write_text(RECIPE.format(steps=steps, optimizer=optimizer))


def train(folder: Path, n_processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(n_processes, *arguments),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
    )


def losses(folder: Path, name: str) -> list[float]:
    return [line["loss"] for line in read_jsonl(folder / "runs" / name / "metrics.jsonl")]


@pytest.mark.parametrize(("sharding", "optimizer"), [("ddp", "adamw"), ("fsdp", "muon")])
@pytest.mark.slow
def test_two_processes_learn_as_one_does(
    sharding: str, optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, 20, optimizer)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "tiny.toml", "--name", "one", "--quiet"]) == 0
    two = train(tmp_path, 2, "tiny.toml", "--name", "two", "--quiet", "--train.sharding", sharding)
    assert two.returncode == 0, two.stderr
    first, second = losses(tmp_path, "one"), losses(tmp_path, "two")
    assert len(first) == 20
    assert first[-1] < 0.9 * first[0]
    assert second == pytest.approx(first, rel=2e-4)
    one, many = (read_histograms(tmp_path / "runs" / name / "snapshots", "weights") for name in ("one", "two"))
    assert many.steps == one.steps == [0, 10, 20]
    assert (many.counts[0] == one.counts[0]).all(), "the first rank records all the weights, also when it holds a share"
    looked = [read_attention(tmp_path / "runs" / name / "snapshots") for name in ("one", "two")]
    for step, tolerance in ((0, 1e-6), (20, 0.02)):
        np.testing.assert_allclose(looked[1].pattern(step), looked[0].pattern(step), atol=tolerance)
    averages = [load_file(tmp_path / "runs" / name / "checkpoints/20/average.safetensors") for name in ("one", "two")]
    for name, average in averages[0].items():
        np.testing.assert_allclose(averages[1][name], average, atol=0.02, err_msg=name)
    ends = [json.loads((tmp_path / "runs" / name / "summary.json").read_text()) for name in ("one", "two")]
    for measured in ("validation_loss", "loss_without_ema"):
        assert ends[0][measured] == pytest.approx(ends[1][measured], rel=1e-3)


@pytest.mark.slow
def test_a_killed_rank_ends_the_job_and_the_run_goes_on_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, 4000)
    job = subprocess.Popen(
        command(2, "tiny.toml", "--name", "two", "--quiet", "--train.steps", "4000"),
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    checkpoints = tmp_path / "runs" / "two" / "checkpoints"
    deadline = time.monotonic() + 60
    seen: set[str] = set()
    while len(seen) < 2:  # by the second checkpoint the ranks are connected in every way they will be
        seen |= {path.name for path in checkpoints.iterdir() if path.name.isdigit()} if checkpoints.is_dir() else set()
        assert time.monotonic() < deadline
        assert job.poll() is None, job.communicate()[1]
        time.sleep(0.05)
    subprocess.run(["kill", "-9", str(a_worker(job.pid))], check=True)
    _, said = job.communicate(timeout=60)
    assert job.returncode != 0
    assert "lost another rank" in said, said
    assert "continues from its last checkpoint" in said
    run = RunFolder(tmp_path / "runs" / "two")
    reached = max(int(path.name) for path in checkpoints.iterdir() if path.name.isdigit())
    recipe = run.recipe_file.read_text().replace("steps = 4000", f"steps = {reached + 5}")
    run.recipe_file.write_text(recipe)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "runs/two", "--quiet"]) == 0
    assert [line["step"] for line in run.metrics()] == list(range(1, reached + 6))


def a_worker(launcher: int) -> int:
    """Return the process number of the second rank."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                settings = (folder / "environ").read_bytes().split(b"\0")
            except (OSError, IndexError):
                continue
            if parent == launcher and b"RANK=1" in settings:
                return int(folder.name)
    pytest.skip("this system does not list its processes in /proc")


@pytest.mark.slow
def test_ranks_agree_on_what_was_left_open(tmp_path: Path) -> None:
    """A budget in minutes, precision and threads left open: the first rank measures, the others are told."""
    prepare(tmp_path, 20)
    recipe = (tmp_path / "tiny.toml").read_text()
    for line in ("steps = 20\n", 'precision = "float32"\n', "threads = 1\n", "validate_every = 10\n"):
        assert line in recipe
        recipe = recipe.replace(line, "minutes = 0.02\n" if "steps" in line else "")
    (tmp_path / "tiny.toml").write_text(recipe)
    two = train(tmp_path, 2, "tiny.toml", "--name", "two", "--quiet")
    assert two.returncode == 0, two.stderr
    run = RunFolder(tmp_path / "runs" / "two")
    assert run.status() == "finished"
    assert len(run.metrics()) >= 10


def test_a_batch_that_ranks_cannot_share_is_refused(tmp_path: Path) -> None:
    from cutaway.base.errors import ConfigError
    from cutaway.train.distributed import check_batch

    check_batch(8, 2, 2)
    with pytest.raises(ConfigError, match="cannot be shared by 3 processes"):
        check_batch(8, 1, 3)


def test_a_device_that_is_not_there_is_refused() -> None:
    import torch

    from cutaway.base.errors import ConfigError
    from cutaway.train.distributed import pick_device

    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="expected one this machine has"):
        pick_device("abacus")
