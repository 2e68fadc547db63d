"""Import large packages without garbage collection.

Torch alone creates half a million objects that live as long as the process. The garbage collector
would scan them again and again, which takes a quarter of the import time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Disable garbage collection within the block, if it was enabled before.

    Example:
        >>> with loading():
        ...     import decimal
        >>> gc.isenabled()
        True
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
