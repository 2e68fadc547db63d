"""Loading large packages without looking for garbage meanwhile.

Torch alone makes half a million objects that live as long as the process. Python counts new objects
and looks through all of them again and again, a fourth of the time that loading takes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Nothing is looked for while the block imports; afterwards as before.

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
