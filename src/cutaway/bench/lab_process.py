"""A lab as a person starts it, in a process of its own, with a training that goes on: what the lab is measured on."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.base.errors import CutawayError
from cutaway.server.jobs import Jobs

END_SECONDS = 30.0


@dataclass
class RunningLab:
    """A lab that answers."""

    home: Path
    address: str
    process: subprocess.Popen[str]
    start_seconds: float
    """From the command to the first answer."""

    def ask(self, path: str, body: Any = None) -> Any:
        """Return the lab's answer; with a body it is a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())


@contextmanager
def running_lab(home: Path | None = None) -> Iterator[RunningLab]:
    """Start a lab on a folder (left out: an empty one) and end it and its jobs afterwards."""
    with tempfile.TemporaryDirectory(prefix="cutaway-bench-") as folder:
        place = home or Path(folder)
        command = [sys.executable, "-m", "cutaway.cli.main", "lab", str(place), "--no-open", "--port", "0", "--json"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout
            said = process.stdout.readline()
            if not said:
                raise CutawayError("the lab did not start; `cutaway lab` says why")
            lab = RunningLab(place, json.loads(said)["address"], process, 0.0)
            lab.ask("/api/about")
            lab.start_seconds = time.perf_counter() - started
            yield lab
        finally:
            process.terminate()
            process.communicate(timeout=END_SECONDS)
            end_jobs(place)


@contextmanager
def training(lab: RunningLab, name: str, *settings: str) -> Iterator[Path]:
    """Let a training go on in a lab, and give the file its metrics grow in."""
    jobs = Jobs(lab.home)
    words = ["train", "names", "--name", name, "--train.steps", "1000000", "--train.threads", "1", *settings]
    job = jobs.submit(words, "train", name)
    metrics = lab.home / name / "metrics.jsonl"
    try:
        while not metrics.is_file() or metrics.stat().st_size == 0:
            if jobs.get(job.id).state not in ("queued", "running"):
                raise CutawayError(f"the training to be watched ended: {jobs.get(job.id).reason}")
            time.sleep(0.1)
        yield metrics
    finally:
        end_jobs(lab.home)


def end_jobs(home: Path) -> None:
    """Stop all jobs of a folder and wait until they have ended."""
    jobs = Jobs(home)
    for job in jobs.list():
        if job.state in ("queued", "running"):
            jobs.stop(job.id)
    until = time.monotonic() + END_SECONDS
    while any(job.state in ("queued", "running") for job in jobs.list()) and time.monotonic() < until:
        time.sleep(0.05)
    jobs.close()
