"""A training that was typed in a terminal: who it is, and whether the lab may end it.

A run's folder is held by the process that trains it. The lab ends a process only when it is sure: it is of the same user,
its command is `cutaway train`, and it has this very folder open.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from cutaway.base.errors import UsageError
from cutaway.base.runs import RunFolder

DESCRIPTORS = Path("/proc")
"""Where the system tells which folders a process has open."""


def stop_elsewhere(run: RunFolder) -> int:
    """Ask the process that trains a run to end after its step, as Ctrl-C in its terminal does; return its number.

    Raises:
        UsageError: it is not ours to end, or not to be found; the line says which.
    """
    process = trainer_of(run)
    if process is None:
        raise UsageError(
            f"run {run.name!r} is held by a process that is not a `cutaway train` of yours, or on another machine; "
            "end it where it was started"
        )
    try:
        process.send_signal(signal.SIGINT)
    except psutil.Error as error:
        raise UsageError(
            f"run {run.name!r} is trained by process {process.pid}, which cannot be ended: {error}"
        ) from None
    return process.pid


def trainer_of(run: RunFolder) -> psutil.Process | None:
    """Return this user's `cutaway train` that has a run's folder open; of several, the one that started the others."""
    if not hasattr(os, "getuid"):
        return None
    folder, found = run.path.resolve(), {}
    for process in psutil.process_iter():
        try:
            if process.uids().real == os.getuid() and is_training(process.cmdline()) and has_open(process.pid, folder):
                found[process.pid] = process
        except psutil.Error:
            continue  # it ended while we looked, or is not ours to look at
    return next((one for one in found.values() if one.ppid() not in found), None)


def is_training(words: list[str]) -> bool:
    """Whether a command line is `cutaway train ...`, by its script or as a module."""
    if "train" not in words:
        return False
    before = words[: words.index("train")]
    return any(Path(word).name == "cutaway" or word.startswith("cutaway.") for word in before)


def has_open(pid: int, folder: Path) -> bool:
    """Whether a process has a folder open."""
    try:
        links = list((DESCRIPTORS / str(pid) / "fd").iterdir())
    except OSError:
        return False
    for link in links:
        try:
            if Path(os.readlink(link)) == folder:
                return True
        except OSError:
            continue
    return False
