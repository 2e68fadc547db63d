"""`write_single_part`: write the DICOM file in a WADO-RS response to disk, byte by byte."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

from plgg.core.files import temporary_name
from plgg.pacs.errors import PacsError

_MOST_HEAD = 2**14
_COPY_BYTES = 2**20
_MEDIA = "application/dicom"


def write_single_part(path: Path, content_type: str, pieces: Iterator[bytes]) -> None:
    """Write the DICOM file that a response holds.

    Args:
        path: Path of the file, which must not exist yet.
        content_type: Content-Type of the response: multipart/related as in the standard, or
            application/dicom.
        pieces: Chunks of its body.

    Raises:
        PacsError: If it holds no file, or several.
    """
    message = Message()
    message["Content-Type"] = content_type
    body = temporary_name(path)
    try:
        with body.open("xb") as out:
            for piece in pieces:
                out.write(piece)
        if message.get_content_type() == _MEDIA:
            body.replace(path)
            return
        boundary = message.get_param("boundary")
        if message.get_content_type() != "multipart/related" or not isinstance(boundary, str):
            raise _no_file("its answer is no DICOM file")
        _cut(body, path, boundary.encode("latin-1", "replace"))
    finally:
        body.unlink(missing_ok=True)


def _cut(body: Path, path: Path, boundary: bytes) -> None:
    """Copy the content of the first part, between its headers and the next boundary."""
    mark = b"--" + boundary
    if not body.stat().st_size:
        raise _no_file("its answer is empty")
    with body.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        at = whole.find(mark, 0, _MOST_HEAD)
        head = whole.find(b"\r\n\r\n", max(at, 0), _MOST_HEAD)
        end = whole.find(b"\r\n" + mark, max(head, 0))
        if min(at, head, end) < 0:
            raise _no_file("its answer is cut short")
        after = end + 2 + len(mark)
        if whole[after : after + 2] != b"--":
            raise _no_file("its answer holds several objects, and one was asked for")
        file.seek(head + 4)
        with path.open("xb") as out:
            left = end - head - 4
            while left > 0:
                piece = file.read(min(left, _COPY_BYTES))
                out.write(piece)
                left -= len(piece)


def _no_file(what: str) -> PacsError:
    return PacsError(what, where="the PACS", remedy="Look at its log, and try again.")
