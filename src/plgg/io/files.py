"""Writing whole files or none: everything is written aside and then renamed.

Used by every room that writes. Knows nothing of what is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plgg.errors import OutputError


def make_folder(path: Path) -> Path:
    """Create a folder and its parents, and check that it can be written to.

    Raises:
        OutputError: If it cannot be made, or not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise OutputError(
            f"cannot write here ({error.strerror or error})",
            where=path,
            remedy="Choose another folder or mend its permissions.",
        ) from error


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it only if the block ends well.

    The temporary name keeps the suffixes of `path`, because libraries choose the format by them.

    Raises:
        OutputError: If the disk refuses, for example because it is full.
    """
    make_folder(path.parent)
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield aside
        aside.replace(path)
    except OSError as error:
        raise OutputError(
            f"could not be written ({error.strerror or error})",
            where=path,
            remedy="Check free space and permissions.",
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    What is no Unicode, as parts of file names may be (PEP 383), is written as an escape of JSON, so
    that `read_json` gives it back as it was.
    """
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, record: Any) -> None:  # noqa: ANN401 - JSON is any
    """Write a JSON file whole or not at all; NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
