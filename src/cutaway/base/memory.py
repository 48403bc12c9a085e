"""Keep freed memory instead of giving it back to the system between steps.

Training allocates and frees the same large arrays at every step. By default glibc asks the system for each and returns
it, and the first touch of every fresh page costs a fault: a tenth of a training step (docs/log.md). This asks glibc to
keep what it has.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tell glibc to reuse memory for the rest of the process; return whether there is a glibc to tell."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - other C libraries do not have it
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 64 << 20))  # -1: never give back
    return all(libc.mallopt(name, value) for name, value in settings)


def resident_bytes() -> int:
    """Return how much memory this process takes now."""
    return int(_this_process().memory_info().rss)


@cache
def _this_process() -> Any:
    import psutil

    return psutil.Process()
