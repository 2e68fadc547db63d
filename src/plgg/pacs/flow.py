"""`FlowLimit`: limits the bytes that are received over a DIMSE association.

pynetdicom holds an object in memory until it is complete, however large it becomes; this closes the
connection before that.
"""

from __future__ import annotations

import threading
from typing import Any

MOST_OBJECT_BYTES = 2**30
"""Largest object by DIMSE. An enhanced MR scan of a thousand slices takes half of it."""


class FlowLimit:
    """Counts the bytes of one object at a time; by default only after a call of `allow`."""

    def __init__(self, most_bytes: int = 0) -> None:
        self._lock = threading.Lock()
        self._left = most_bytes
        self._counting = most_bytes > 0
        self.exceeded = False

    def allow(self, most_bytes: int) -> None:
        """Set the number of bytes that may come from now on."""
        with self._lock:
            self._left, self._counting = most_bytes, True

    def count(self, event: Any) -> None:  # noqa: ANN401 - an event of pynetdicom
        """Count received bytes; the handler of `EVT_DATA_RECV`."""
        with self._lock:
            if not self._counting:
                return
            self._left -= len(event.data)
            over = self._left < 0
        if over and not self.exceeded:
            self.exceeded = True
            # Not `abort`, which waits for the thread that this is called in.
            event.assoc.dul.socket.close()
