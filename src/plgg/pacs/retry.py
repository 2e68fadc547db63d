"""`with_retries`: retry requests to a server that may not answer for a while.

Exponential back-off with equal jitter, so that many clients do not retry at the same moment.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from plgg.pacs.errors import UnreachableError

Answer = TypeVar("Answer")
_EXACT = random.SystemRandom()


@dataclass(frozen=True)
class Retries:
    """Number of attempts, and the time between them.

    Attributes:
        attempts: Attempts in all.
        first_seconds: Longest wait after the first attempt.
        longest_seconds: Longest wait after any attempt.
    """

    attempts: int = 8
    first_seconds: float = 1.0
    longest_seconds: float = 30.0

    def wait_seconds(self, failed: int) -> float:
        """How long to wait after so many failures: half to all of a time that doubles."""
        most = min(self.longest_seconds, self.first_seconds * 2.0 ** (failed - 1))
        return most * _EXACT.uniform(0.5, 1.0)


ONCE = Retries(attempts=1)
PATIENT = Retries()


def with_retries(
    action: Callable[[], Answer],
    retries: Retries = PATIENT,
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> Answer:
    """Call an action until the server answers, and return its result.

    Args:
        action: Function that may be repeated without harm.
        retries: Number of attempts, and the time between them.
        sleep: Waits so many seconds.

    Raises:
        UnreachableError: If it does not answer at any attempt.
        PacsError: At once, if it refuses.
    """
    for failed in range(1, retries.attempts):
        try:
            return action()
        except UnreachableError:
            sleep(retries.wait_seconds(failed))
    return action()
