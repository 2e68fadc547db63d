"""`AuditLog`: who did what and when, a line of JSON each, appended and synced to the disk.

    audit.write("save", who="AB", case="P01", edit=1)

Cases are named by their identifiers. File names, which may hold names of people, and patient data
of headers are never logged.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from plgg.core.files import convert_write_errors
from plgg.serve.records import now


class AuditLog:
    """Appends to one file.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def write(self, what: str, *, who: str = "", address: str = "", **of: str | int | None) -> None:
        """Append a line.

        Args:
            what: The action, in a word or two.
            who: Name of the user.
            address: IP address of the client.
            of: What the action applied to: `case`, `edit`, `job`, `round`.

        Raises:
            OutputError: If it cannot be written; the action must not be done then.
        """
        known = {name: value for name, value in of.items() if value is not None}
        line = json.dumps({"when": now(), "who": who, "what": what, "address": address, **known})
        with (
            self._lock,
            convert_write_errors(self._path),
            self._path.open("a", encoding="utf-8") as handle,
        ):
            handle.write(line + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def mend(self) -> None:
        """End a line that a power cut left incomplete, so that the next one is separate."""
        path = self._path
        if path.is_file() and path.stat().st_size:
            with path.open("r+b") as handle:
                handle.seek(-1, os.SEEK_END)
                if handle.read(1) != b"\n":
                    handle.write(b"\n")
