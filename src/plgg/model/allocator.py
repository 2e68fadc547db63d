"""Keeping freed memory for the next step, on Linux with glibc.

A 3-D network frees and takes hundreds of large blocks at each step. By default glibc gives each
back to the system at once, and the next one is zeroed page by page: on a CPU up to half of the time
(`benchmarks/training_step.py`).
"""

from __future__ import annotations

import ctypes
import platform

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Ask the C library to keep what is freed; says whether it agreed.

    Affects this process alone. Its resident memory then stays at its peak.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, _NEVER))
