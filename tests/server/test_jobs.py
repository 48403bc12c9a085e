"""The queue of long work: started, watched, stopped, surviving."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from server.labs import end_jobs, training, wait_for

from cutaway.base.database import opened
from cutaway.base.errors import CutawayError
from cutaway.server.job_process import reason
from cutaway.server.jobs import Job, JobError, Jobs

FOREVER = 100_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def jobs(home: Path) -> Iterator[Jobs]:
    jobs = Jobs(home)
    yield jobs
    end_jobs(home)
    jobs.close()


def ended(jobs: Jobs, job: Job) -> Job:
    wait_for(lambda: jobs.get(job.id).state not in ("queued", "running"))
    return jobs.get(job.id)


@pytest.mark.slow
def test_a_training_is_queued_and_done(jobs: Jobs, home: Path) -> None:
    job = jobs.submit(training(home.parent, "fox"), "train", "fox")
    assert job.command.startswith("cutaway train stdlib --name fox --data.source ")
    job = ended(jobs, job)
    assert (job.state, job.reason) == ("done", "")
    assert job.created <= job.started <= job.ended
    assert len((home / "fox" / "metrics.jsonl").read_text().splitlines()) == 20
    assert "finished" in jobs.log(job.id)
    jobs.delete(job.id)
    with pytest.raises(JobError, match="there is no job"):
        jobs.get(job.id)


@pytest.mark.slow
def test_a_failure_has_its_one_line(jobs: Jobs, home: Path) -> None:
    job = ended(jobs, jobs.submit([*training(home.parent, "fox"), "--train.device", "abacus"], "train", "fox"))
    assert job.state == "failed"
    assert job.reason == "train.device is 'abacus'; expected one this machine has: cpu"


@pytest.mark.slow
def test_trainings_take_turns_and_others_go_beside(jobs: Jobs, home: Path) -> None:
    first = jobs.submit(training(home.parent, "a", FOREVER), "train", "a")
    second = jobs.submit(training(home.parent, "b", FOREVER), "train", "b")
    third = jobs.submit(["runs"], "list", "a")
    assert ended(jobs, third).state == "done"
    wait_for(lambda: learns(home / "a"))
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


@pytest.mark.slow
def test_a_job_is_adopted_by_the_next_lab(jobs: Jobs, home: Path) -> None:
    job = jobs.submit(training(home.parent, "a", FOREVER), "train", "a")
    waiting = jobs.submit(training(home.parent, "b"), "train", "b")
    wait_for(lambda: learns(home / "a"))
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


@pytest.mark.slow
def test_a_killed_process_is_noticed(jobs: Jobs, home: Path) -> None:
    job = jobs.submit(training(home.parent, "a", FOREVER), "train", "a")
    wait_for(lambda: learns(home / "a"))
    trainer = next(process for process in psutil.process_iter(["cmdline"]) if is_trainer(process, home))
    trainer.send_signal(signal.SIGKILL)
    job = ended(jobs, job)
    assert job.state == "failed"
    assert "no memory left" in job.reason


@pytest.mark.slow
def test_a_lost_minder_takes_its_training_along(jobs: Jobs, home: Path) -> None:
    job = jobs.submit(training(home.parent, "a", FOREVER), "train", "a")
    wait_for(lambda: learns(home / "a"))
    trainer = next(process for process in psutil.process_iter(["cmdline"]) if is_trainer(process, home))
    trainer.parent().send_signal(signal.SIGKILL)
    job = ended(jobs, job)
    assert (job.state, job.reason.split(":")[0]) == ("failed", "the process ended without a word")
    wait_for(lambda: (home / "a" / "summary.json").is_file())  # told to stop, it saved first


def learns(run: Path) -> bool:
    return (run / "metrics.jsonl").is_file() and (run / "metrics.jsonl").stat().st_size > 0


def is_trainer(process: psutil.Process, home: Path) -> bool:
    words = process.info["cmdline"] or []
    return "cutaway.server.job_command" in words and str(home.parent / "fox.txt") in words


def test_a_reason_is_one_line_whatever_was_said() -> None:
    assert reason("cutaway: first\ncutaway: the disk is full\n", 1) == "the disk is full"
    assert reason("Traceback (most recent call last):\n  ...\nValueError: no\n", 1) == "ValueError: no"
    assert "signal 15" in reason("", -15)
    assert reason("", 3) == "the command ended with code 3 and said nothing"


def test_the_database_may_hold_other_things_only(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        database.execute("create table votes (id integer)")
    jobs = Jobs(tmp_path)
    assert jobs.list() == []
    assert not jobs.was_done("first run")
