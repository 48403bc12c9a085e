"""Keep freed memory for the next step, or give it back to the system at once.

Training allocates and frees the same large arrays at every step. By default glibc asks the system for most and returns
them, and the first touch of every fresh page costs a fault: a tenth of a training step (docs/log.md). Asked to keep what
it has, glibc is faster, but leaves holes between arrays that the next ones do not fit: half as much memory again for a
step, or twice. So what fits easily keeps, and what is large for its machine gives back.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4


def keep_freed_memory() -> bool:
    """Tell glibc to reuse memory for the rest of the process; return whether there is a glibc to tell."""
    return _tell({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_TOP_PAD: 64 << 20})  # -1: never give back


def give_back_freed_memory() -> bool:
    """Tell glibc to take every array from the system and to return it; return whether there is a glibc to tell."""
    return _tell({_M_MMAP_MAX: 1 << 20, _M_MMAP_THRESHOLD: 1 << 17, _M_TRIM_THRESHOLD: 1 << 17, _M_TOP_PAD: 0})


def _tell(settings: dict[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - other C libraries do not have it
    except (OSError, AttributeError):
        return False
    return all(libc.mallopt(name, value) for name, value in settings.items())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no more memory, here or on a device."""
    words = ("allocate memory", "not enough memory", "out of memory")
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(word in str(error) for word in words))
    )


def resident_bytes() -> int:
    """Return how much memory this process takes now."""
    return int(_this_process().memory_info().rss)


@cache
def _this_process() -> Any:
    import psutil

    return psutil.Process()
