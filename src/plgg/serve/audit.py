"""`AuditLog`: who did what and when, a line of JSON each, appended and synced to the disk.

    audit.write("save", who="AB", case="P01", edit=1)

Cases are named by their identifiers; names of files, which people's names may be in, and what a
header says of a patient never come here.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from plgg.core.files import disk_writes
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
            what: Was done, in a word.
            who: As they call themselves.
            address: Of the client.
            of: What it was done to: `case`, `edit`, `job`, `round`.

        Raises:
            OutputError: If it cannot be written: what cannot be told is not to be done.
        """
        known = {name: value for name, value in of.items() if value is not None}
        line = json.dumps({"when": now(), "who": who, "what": what, "address": address, **known})
        with (
            self._lock,
            disk_writes(self._path),
            self._path.open("a", encoding="utf-8") as handle,
        ):
            handle.write(line + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def mend(self) -> None:
        """End a line that a power cut left unfinished, so that the next one is its own."""
        path = self._path
        if path.is_file() and path.stat().st_size:
            with path.open("r+b") as handle:
                handle.seek(-1, os.SEEK_END)
                if handle.read(1) != b"\n":
                    handle.write(b"\n")
