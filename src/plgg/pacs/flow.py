"""`FlowLimit`: the bytes that come over a connection of DIMSE, counted as they come.

pynetdicom holds an object in memory until it is whole, however large it becomes; this ends the
connection before that.
"""

from __future__ import annotations

import threading
from typing import Any

MOST_OBJECT_BYTES = 2**30
"""Of one object by DIMSE. An enhanced MR scan of a thousand slices takes half of it."""


class FlowLimit:
    """Counts the bytes of one object at a time; nothing is allowed before `allow` was called."""

    def __init__(self, most_bytes: int = 0) -> None:
        self._lock = threading.Lock()
        self._left = most_bytes
        self._counting = most_bytes > 0
        self.exceeded = False

    def allow(self, most_bytes: int) -> None:
        """From now on so many bytes may come."""
        with self._lock:
            self._left, self._counting = most_bytes, True

    def count(self, event: Any) -> None:  # noqa: ANN401 - an event of pynetdicom
        """Count what came; the handler of `EVT_DATA_RECV`."""
        with self._lock:
            if not self._counting:
                return
            self._left -= len(event.data)
            over = self._left < 0
        if over and not self.exceeded:
            self.exceeded = True
            # Not `abort`, which waits for the thread that this is called in.
            event.assoc.dul.socket.close()
