"""A lab as a process: found, held, killed, started again."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from server.labs import LabProcess, end_jobs, lab_process, training, wait_for

from cutaway.base.errors import UsageError
from cutaway.base.runs import RunFolder
from cutaway.server import job_store
from cutaway.server.serve import SecondLabError, check_home, held, write_lock

IDLE_BYTES = 400 << 20
START_SECONDS = 1.5


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    if (tmp_path / "home").is_dir():
        end_jobs(tmp_path / "home")


def submit(lab: LabProcess, words: list[str], target: str) -> None:
    from cutaway.server.jobs import Jobs

    jobs = Jobs(lab.home)
    jobs._closing.set()  # the lab itself starts what waits
    jobs.submit(words, "train", target)


@pytest.mark.slow
def test_it_answers_soon_is_small_and_ends_at_once(tmp_path: Path, home: Path) -> None:
    started = time.monotonic()
    with lab_process(home, "--port", "0") as lab:
        seconds = time.monotonic() - started
        assert lab.ask("/api/about")["home"] == str(home)
        assert psutil.Process(lab.process.pid).memory_info().rss < IDLE_BYTES
        assert lab.line == f"Cutaway's lab is at {lab.address}"
        started = time.monotonic()
        lab.interrupt()
        assert time.monotonic() - started < 2
        assert lab.process.returncode == 0
    # twice the bar: this machine has other things to do while it tests
    assert seconds < 2 * START_SECONDS


def test_the_server_needs_no_torch() -> None:
    program = "import sys, cutaway.server.serve; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.slow
def test_a_training_survives_the_lab(tmp_path: Path, home: Path) -> None:
    """Killed in the middle, started again: the run goes on, the queue goes on, and how each ended is known."""
    steps = 1500
    with lab_process(home, "--port", "0") as lab:
        submit(lab, training(tmp_path, "a", steps), "a")
        submit(lab, training(tmp_path, "b", 20), "b")
        lab.kill()
        with lab_process(home, "--port", lab.port) as lab:  # it adopts what waits
            rows = home / "a" / "metrics.jsonl"
            wait_for(lambda: rows.is_file() and rows.stat().st_size > 0)
            lab.kill()
        with lab_process(home, "--port", lab.port) as lab:
            states = {job["target"]: job["state"] for job in lab.ask("/api/jobs")}
            assert states == {"a": "running", "b": "queued"} or states["a"] == "done"
            wait_for(lambda: all(job["state"] == "done" for job in lab.ask("/api/jobs")))
    assert [line["step"] for line in RunFolder(home / "a").metrics()] == list(range(1, steps + 1))
    assert RunFolder(home / "b").status() == "finished"


@pytest.mark.slow
def test_what_ends_while_the_lab_is_away_is_known(tmp_path: Path, home: Path) -> None:
    with lab_process(home, "--port", "0") as lab:
        submit(lab, [*training(tmp_path, "a"), "--train.device", "abacus"], "a")
        lab.kill()
        with lab_process(home, "--port", "0") as lab:
            wait_for(lambda: job_store.rows(home)[0]["pid"])
            lab.kill()
            wait_for(lambda: job_store.rows(home)[0]["state"] == "failed")  # written with no lab there
    with lab_process(home, "--port", "0") as lab:
        job = lab.ask("/api/jobs")[0]
        assert (job["state"], job["reason"]) == (
            "failed",
            "train.device is 'abacus'; expected one this machine has: cpu",
        )


@pytest.mark.slow
def test_what_a_killed_lab_did_not_get_to_start_is_started(tmp_path: Path, home: Path) -> None:
    with lab_process(home, "--port", "0") as lab:
        submit(lab, training(tmp_path, "a"), "a")
        lab.kill()
        job_store.change(home, 1, "queued", state="running", started=time.time() - 60)  # killed just then
    with lab_process(home, "--port", "0") as lab:
        wait_for(lambda: lab.ask("/api/jobs")[0]["state"] == "done")


@pytest.mark.slow
def test_ctrl_c_leaves_the_training_and_says_so(tmp_path: Path, home: Path) -> None:
    with lab_process(home, "--port", "0") as lab:
        submit(lab, training(tmp_path, "fox", 100_000), "fox")
        lab.kill()
        lab = LabProcess(home, "--port", "0")
        wait_for(lambda: lab.ask("/api/jobs")[0]["state"] == "running")
        assert "fox goes on in the background" in lab.interrupt()
        assert job_store.rows(home)[0]["state"] == "running"


@pytest.mark.slow
def test_two_labs_on_one_folder(tmp_path: Path, home: Path) -> None:
    with lab_process(home, "--port", "0") as lab:
        second = subprocess.run(
            [sys.executable, "-m", "cutaway.cli.main", "lab", str(home), "--no-open"],
            capture_output=True,
            text=True,
        )
        assert second.returncode == 1
        assert second.stderr == f"cutaway: a lab runs on {tmp_path / 'home'} already, at {lab.address}\n"
        lab.kill()  # the lock goes with the process
        with lab_process(home, "--port", "0") as third:
            third.ask("/api/about")


def test_the_lock_alone(tmp_path: Path, home: Path) -> None:
    with held(tmp_path) as lock, pytest.raises(SecondLabError, match="is just starting"), held(tmp_path):
        pass
    with held(tmp_path) as lock:
        write_lock(lock, "http://127.0.0.1:1")
        with pytest.raises(SecondLabError, match="at http"), held(tmp_path):
            pass
    with held(tmp_path):
        pass


def test_a_port_in_use(tmp_path: Path, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with lab_process(home, "--port", str(port)) as lab:
            assert int(lab.port) != port
            assert f"port {port} is in use; taking {lab.port}" in lab.interrupt()


def test_folders_that_cannot_be(tmp_path: Path, home: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        check_home(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot be made"):
        check_home(tmp_path / "file" / "home")
    check_home(tmp_path / "new" / "home")
    assert (tmp_path / "new" / "home").is_dir()
    if os.geteuid():
        (tmp_path / "shut").mkdir(mode=0o555)
        with pytest.raises(UsageError, match="nothing can be written"):
            check_home(tmp_path / "shut")


@pytest.mark.slow
def test_open_to_others_with_a_password(tmp_path: Path, home: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    with lab_process(home, "--port", "0", "--host", "0.0.0.0", "--password-file", str(secret)) as lab:
        lab.address = f"http://127.0.0.1:{lab.port}"
        with pytest.raises(urllib.error.HTTPError) as refused:
            lab.ask("/api/about")
        refused.value.close()
        assert refused.value.code == 401
        assert "nothing is encrypted" in lab.interrupt()


@pytest.mark.slow
def test_json_says_where(tmp_path: Path, home: Path) -> None:
    with lab_process(home, "--port", "0", "--json") as lab:
        said = json.loads(lab.line)
        assert said["address"].startswith("http://127.0.0.1:")
