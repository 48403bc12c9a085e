"""The queue of long work: started, watched, stopped, surviving."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cutaway.base.errors import CutawayError
from cutaway.server.jobs import Job, JobError, Jobs

TINY = [
    "--model.d-model", "24", "--model.n-layers", "2", "--model.n-heads", "4", "--model.context-length", "16",
    "--train.batch-size", "8", "--train.threads", "1", "--train.precision", "float32", "--train.compile", "off",
    "--train.sample-every", "0", "--generate.max-tokens", "12", "--prompt", "the ",
]  # fmt: skip
FOREVER = "100000"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (tmp_path / "fox.txt").write_text("the quick brown fox jumps over the lazy dog; " * 60)
    return folder


@pytest.fixture
def jobs(home: Path) -> Iterator[Jobs]:
    jobs = Jobs(home)
    yield jobs
    for job in jobs.list():
        if job.state in ("queued", "running"):
            jobs.stop(job.id)
    wait_for(lambda: all(job.state not in ("queued", "running") for job in jobs.list()))
    jobs.close()


def wait_for(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def training(home: Path, name: str, steps: str = "20") -> list[str]:
    text = str(home.parent / "fox.txt")
    return ["train", "stdlib", "--name", name, "--data.source", text, *TINY, "--train.steps", steps]


def ended(jobs: Jobs, job: Job) -> Job:
    wait_for(lambda: jobs.get(job.id).state not in ("queued", "running"))
    return jobs.get(job.id)


def test_a_training_is_queued_and_done(jobs: Jobs, home: Path) -> None:
    job = jobs.submit(training(home, "fox"), "train", "fox")
    assert job.command.startswith("cutaway train stdlib --name fox --data.source ")
    job = ended(jobs, job)
    assert (job.state, job.reason) == ("done", "")
    assert job.created <= job.started <= job.ended
    assert len((home / "fox" / "metrics.jsonl").read_text().splitlines()) == 20
    assert "finished" in jobs.log(job.id)
    jobs.delete(job.id)
    with pytest.raises(JobError, match="there is no job"):
        jobs.get(job.id)


def test_a_failure_has_its_one_line(jobs: Jobs, home: Path) -> None:
    job = ended(jobs, jobs.submit([*training(home, "fox"), "--train.device", "abacus"], "train", "fox"))
    assert job.state == "failed"
    assert job.reason == "train.device is 'abacus'; expected one this machine has: cpu"


def test_trainings_take_turns_and_others_go_beside(jobs: Jobs, home: Path) -> None:
    first = jobs.submit(training(home, "a", FOREVER), "train", "a")
    second = jobs.submit(training(home, "b", FOREVER), "train", "b")
    third = jobs.submit(["runs"], "list", "a")
    assert ended(jobs, third).state == "done"
    wait_for(lambda: (home / "a" / "metrics.jsonl").is_file())
    assert [jobs.get(job.id).state for job in (first, second)] == ["running", "queued"]
    assert [job.id for job in jobs.of("b")] == [second.id]
    with pytest.raises(JobError, match="stop it first"):
        jobs.delete(first.id)
    jobs.stop(second.id)
    assert jobs.get(second.id).state == "stopped"
    jobs.stop(first.id)
    assert ended(jobs, first).state == "stopped"
    assert '"status": "stopped"' in (home / "a" / "summary.json").read_text()
    assert list((home / "a" / "checkpoints").iterdir())
    with pytest.raises(JobError, match="is stopped"):
        jobs.stop(first.id)


def test_a_job_is_adopted_by_the_next_lab(jobs: Jobs, home: Path) -> None:
    job = jobs.submit(training(home, "a", FOREVER), "train", "a")
    waiting = jobs.submit(training(home, "b"), "train", "b")
    wait_for(lambda: (home / "a" / "metrics.jsonl").is_file())
    jobs.close()
    later = Jobs(home)
    later.start()
    assert later.get(job.id).state == "running"
    later.stop(job.id)
    assert ended(later, job).state == "stopped"
    assert ended(later, waiting).state == "done"
    later.close()


def test_once_in_a_folder(jobs: Jobs, home: Path) -> None:
    assert not jobs.was_done("first run")
    job = jobs.submit(["runs"], "list", "a", only_once="first run")
    ended(jobs, job)
    jobs.delete(job.id)
    assert jobs.was_done("first run")
    with pytest.raises(JobError, match="once in a folder"):
        jobs.submit(["runs"], "list", "a", only_once="first run")


def test_a_full_disk_is_said(jobs: Jobs, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    def refuse(home: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("cutaway.server.job_store.make", refuse)
        with pytest.raises(CutawayError, match="the disk is full"):
            jobs.submit(["runs"], "list", "a")
