"""What it takes to measure the memory of a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Step = Callable[[], object]


@dataclass(frozen=True)
class Meter:
    """The memory of one device.

    Attributes:
        free: Bytes that could still be taken.
        peak: Bytes that a step takes at most, beyond what is held already.
        release: Gives back what this process has freed but keeps.
    """

    free: Callable[[], int]
    peak: Callable[[Step], int]
    release: Callable[[], None]
