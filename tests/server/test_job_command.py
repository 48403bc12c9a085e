"""A job's command ends when it is asked to, also where Python swallows the Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

TIDIES_UP = """
import signal, time
from cutaway.server import job_command
job_command.SWALLOWED_SECONDS = 1
signal.signal(signal.SIGINT, job_command.interrupt)
print("ready", flush=True)
"""
SWALLOWS = """
try:
    time.sleep(30)
except BaseException:  # as an import that has a second way does
    pass
time.sleep(30)
"""
ENDS = """
try:
    time.sleep(30)
finally:
    print("tidied up", flush=True)
"""


def interrupted(what: str) -> tuple[int, str, float]:
    """Start a program, press Ctrl-C once, and return how it ended, what it said and how long that took."""
    process = subprocess.Popen(
        [sys.executable, "-c", TIDIES_UP + what], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    return process.returncode, said, time.monotonic() - started


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="this system has no alarm signal")
@pytest.mark.slow
def test_an_interrupt_that_was_swallowed_ends_it_all_the_same() -> None:
    code, _, seconds = interrupted(SWALLOWS)
    assert code == -signal.SIGALRM
    assert seconds < 5


def test_an_interrupt_that_was_heard_lets_it_tidy_up() -> None:
    code, said, _ = interrupted(ENDS)
    assert code in (1, -signal.SIGINT)
    assert said == "tidied up\n"


def test_it_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cutaway.server.job_command", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("cutaway ")
