"""`with_retries`: asking again where a server may only be away for a while.

Exponential back-off with full jitter, so that many clients do not come back at the same moment.
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
    """How often is asked again, and after how long.

    Attributes:
        attempts: In all.
        first_seconds: The most that is waited after the first.
        longest_seconds: The most that is waited after any.
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
    """What an action gives, once the server answers.

    Args:
        action: May be repeated without harm.
        retries: How often.
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
