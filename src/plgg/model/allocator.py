"""Keeping freed memory for the next step, or giving every block back at once; glibc on Linux.

A 3-D network frees and takes hundreds of large blocks at each step. By default glibc gives each
back to the system at once, and the next one is zeroed page by page: on a CPU up to half of the time
(`benchmarks/training_step.py`).
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# From glibc's malloc.h and its defaults; the threshold is what its own would grow to here.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1
_MANY, _FEW_BYTES, _MANY_BYTES = 2**16, 2**16, 2**25

_keeping: list[bool] = []


def keep_freed_memory() -> bool:
    """Ask the C library to keep what is freed; says whether it agreed.

    Affects this process alone. Its resident memory then stays at its peak.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    agreed = bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, _NEVER))
    if agreed:
        _keeping.append(True)
    return agreed


def give_back() -> None:
    """Return to the system what was freed but kept; the next steps take it anew."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def giving_back() -> Iterator[None]:
    """Large blocks come from the system and go back there at once, so that it knows what is used.

    Afterwards all is as it was before.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    give_back()
    libc.mallopt(_M_MMAP_MAX, _MANY)
    libc.mallopt(_M_MMAP_THRESHOLD, _FEW_BYTES)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_THRESHOLD, _MANY_BYTES)
        libc.mallopt(_M_MMAP_MAX, 0 if _keeping else _MANY)
