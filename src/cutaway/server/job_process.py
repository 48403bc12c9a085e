"""The process that does one job: `python -m cutaway.server.job_process HOME NUMBER`.

It runs the command a person would type, keeps what it says, and writes into the database how it ended. It is in a session
of its own, so the lab may end, be killed and start again meanwhile; the database then knows the outcome all the same.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import FrameType

import psutil

from cutaway.server import job_store

GRACE_SECONDS = 60.0
"""How long a job may take to save and end after it was asked to; then it is killed."""
PR_SET_PDEATHSIG = 1
TRIES = 60
"""How often writing the outcome is tried, a second apart, while the disk is full."""


def main(argv: list[str]) -> int:
    """Do the job and return its exit code."""
    home, number = Path(argv[0]), int(argv[1])
    ends = [signal.SIGTERM, signal.SIGINT]
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # until there is somebody to pass them on to
    me = psutil.Process()
    if not job_store.claim(home, number, me.pid, me.create_time()):
        return 1
    job = job_store.rows(home, "id = ?", number)[0]
    if job["wants_stop"]:
        job_store.end(home, number, "stopped")
        return 1
    log = job_store.log_file(home, number)
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "cutaway.server.job_command", *json.loads(job["words"])],
            cwd=job["folder"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(prepare, ends),
        )

    def pass_on(received: int, frame: FrameType | None) -> None:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            killer = threading.Timer(GRACE_SECONDS, child.kill)
            killer.daemon = True
            killer.start()

    for wanted in ends:
        signal.signal(wanted, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)
    code = child.wait()
    for _ in range(TRIES):
        try:
            state, reason = outcome(home, number, code)
            job_store.end(home, number, state, reason)
            break
        except (OSError, job_store.sqlite3.Error):
            time.sleep(1)
    return code


def prepare(ends: list[signal.Signals]) -> None:
    """In the new process, before it becomes the command: let it be stopped, also by the end of this process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background commands ignore it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def outcome(home: Path, number: int, code: int) -> tuple[str, str]:
    """Return the state a job ended in, and why."""
    job = job_store.rows(home, "id = ?", number)[0]
    if job["wants_stop"] or (code == 0 and was_stopped(home / job["target"])):
        return "stopped", ""
    if code == 0:
        return "done", ""
    return "failed", reason(job_store.tail(job_store.log_file(home, number)), code)


def was_stopped(run: Path) -> bool:
    """Whether a run says of itself that it was stopped."""
    try:
        return json.loads((run / "summary.json").read_text(encoding="utf-8"))["status"] == "stopped"
    except (OSError, ValueError, KeyError):
        return False


def reason(said: str, code: int) -> str:
    """Return in one line why a command failed: its own words, else what the operating system says."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("cutaway: ")]
    if ours:
        return ours[-1].removeprefix("cutaway: ")
    if code == -signal.SIGKILL:
        return "the process was killed; most often the machine had no memory left: a smaller batch or model needs less"
    if code < 0:
        return f"the process was ended by signal {-code} ({signal.strsignal(-code)})"
    return lines[-1] if lines else f"the command ended with code {code} and said nothing"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
