"""Labs to test: tiny trainings, and a lab as a process of its own, as a person starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TINY = [
    "--model.d-model", "24", "--model.n-layers", "2", "--model.n-heads", "4", "--model.context-length", "16",
    "--train.batch-size", "8", "--train.threads", "1", "--train.precision", "float32", "--train.compile", "off",
    "--generate.max-tokens", "12", "--prompt", "the ",
]  # fmt: skip


def training(folder: Path, name: str, steps: int = 20, *others: str) -> list[str]:
    """Return the command of a tiny training on a text that lies in a folder."""
    text = folder / "fox.txt"
    text.write_text("the quick brown fox jumps over the lazy dog; " * 60)
    words = ["train", "stdlib", "--name", name, "--data.source", str(text), *TINY]
    return [*words, "--train.steps", str(steps), *others]


def wait_for(is_so: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until something is so, and return what it says."""
    until = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
    return found


class LabProcess:
    """`cutaway lab` in a process of its own."""

    def __init__(self, home: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cutaway.cli.main", "lab", str(home), "--no-open", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        assert self.process.stdout
        self.line = self.process.stdout.readline().strip()
        self.address = self.line.rpartition(" ")[2]

    @property
    def port(self) -> str:
        """Where it listens."""
        return self.address.rpartition(":")[2]

    def ask(self, path: str, method: str = "GET") -> Any:
        """Return the lab's answer."""
        with urllib.request.urlopen(urllib.request.Request(self.address + path, method=method), timeout=20) as answer:
            return json.loads(answer.read())

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.send_signal(signal.SIGKILL)
        self._bury()

    def interrupt(self) -> str:
        """Press Ctrl-C; return what it said on standard error."""
        self.process.send_signal(signal.SIGINT)
        return self._bury()

    def _bury(self) -> str:
        _, said = self.process.communicate(timeout=30)
        return said


@contextmanager
def lab_process(home: Path, *arguments: str) -> Iterator[LabProcess]:
    """Run a lab, and end it however the test ends."""
    home.mkdir(exist_ok=True)
    lab = LabProcess(home, *arguments)
    try:
        yield lab
    finally:
        if lab.process.poll() is None:
            lab.kill()


def end_jobs(home: Path) -> None:
    """Stop what a lab left running."""
    from cutaway.server.jobs import Jobs

    jobs = Jobs(home)
    for job in jobs.list():
        if job.state in ("queued", "running"):
            jobs.stop(job.id)
    wait_for(lambda: all(job.state not in ("queued", "running") for job in jobs.list()))
    jobs.close()
