"""The command of a job: `python -m cutaway.server.job_command VERB [arguments]`, the command line that ends when asked to.

Ctrl-C raises `KeyboardInterrupt` between two steps of the interpreter. Where that is a weak reference's callback, or an
import that tries one thing and else another, Python prints it or drops it, and the command goes on. A person presses
again; a job that is stopped in its first seconds, while it imports, would go on until it is killed.
"""

from __future__ import annotations

import runpy
import signal
from types import FrameType
from typing import NoReturn

SWALLOWED_SECONDS = 10
"""How long a command that was interrupted may take to tidy up. A training that is under way answers by itself."""


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Raise KeyboardInterrupt, and have the process ended if that comes to nothing."""
    if hasattr(signal, "alarm"):
        signal.alarm(SWALLOWED_SECONDS)
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupt)
    runpy.run_module("cutaway.cli.main", run_name="__main__", alter_sys=True)
