"""The members of a zip, unpacked one by one in memory, and only as far as a budget allows.

Nothing is extracted to disk, so a member's name is never used as a path. Sizes in the central
directory are checked before anything is unpacked, and no member yields more than it declares.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from plgg.core.errors import InputError
from plgg.core.regular import open_regular
from plgg.data.budget import current_limit_bytes, require_affordable
from plgg.data.foreign import convert_reader_errors

_LARGEST_DIRECTORY_BYTES = 64 * 2**20
"""Size of the central directory: enough for about half a million members."""

_MOST_UNPACKED = 10
"""A zip may unpack to so many times its own size, where that is more than the budget. Medical
images shrink to a third or a quarter; a bomb grows a thousandfold."""

_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression methods. DICOM allows no others, and zipfile unpacks others without a limit."""

_END, _END_64 = b"PK\x05\x06", b"PK\x06\x06"
_END_BYTES, _END_64_BYTES, _LONGEST_COMMENT = 22, 56, 65535


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip for reading.

    Raises:
        InputError: If it is not a zip, is damaged, or has far too many members.
    """

    def unreadable() -> InputError:
        return InputError(
            "is not a zip that can be read", where=path, remedy="Copy it again or unpack it."
        )

    with convert_reader_errors(unreadable):
        handle = open_regular(path)
    with handle:
        with convert_reader_errors(unreadable):
            size = _directory_bytes(handle)
        if size > _LARGEST_DIRECTORY_BYTES:
            raise InputError(
                f"is a zip whose list of members alone takes {size / 2**20:.0f} MiB",
                where=path,
                remedy="Pack the FLAIR's files only.",
            )
        with convert_reader_errors(unreadable):
            archive = zipfile.ZipFile(handle)
        with archive:
            yield archive


def _directory_bytes(handle: BinaryIO) -> int:
    """Size of the central directory, as the records at the zip's end declare it; 0 if unknown."""
    length = handle.seek(0, 2)
    handle.seek(max(0, length - _LONGEST_COMMENT - _END_BYTES - 20 - _END_64_BYTES))
    tail = handle.read()
    handle.seek(0)
    sizes = [0]
    if (at := tail.rfind(_END)) >= 0:
        sizes += struct.unpack_from("<I", tail, at + 12)
    if (at := tail.rfind(_END_64)) >= 0:
        sizes += struct.unpack_from("<Q", tail, at + 40)
    return max(size for size in sizes if size != 0xFFFFFFFF)


def unpacked(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    path: Path,
    refusal: Callable[[str], InputError],
) -> BinaryIO:
    """Unpack a member into memory.

    Args:
        archive: The open zip.
        member: One of its members.
        path: Path of the zip, for messages.
        refusal: Makes an error from the fault of the member.

    Raises:
        InputError: If it is encrypted, damaged, larger than the limit, or not deflated or stored.
    """
    if member.flag_bits & 1:
        raise refusal("is encrypted")
    if member.compress_type not in _PACKINGS:
        raise refusal("is packed in another way than by deflate")
    require_affordable((member.file_size,), 1, where=path)
    with convert_reader_errors(lambda: refusal("is damaged")), archive.open(member) as handle:
        data = handle.read(member.file_size)
        if len(data) != member.file_size or handle.read(1):
            raise EOFError
    return BytesIO(data)


def beginning(archive: zipfile.ZipFile, member: zipfile.ZipInfo, n_bytes: int) -> bytes | None:
    """First bytes of a member; None if it is damaged, encrypted, or not deflated or stored."""
    if member.compress_type not in _PACKINGS:
        return None
    try:
        with (
            convert_reader_errors(lambda: InputError("is damaged")),
            archive.open(member) as handle,
        ):
            return handle.read(n_bytes)
    except InputError:
        return None


def require_affordable_members(members: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse members that would together unpack to far more than the zip is large.

    Raises:
        InputError: If they would.
    """
    total = sum(member.file_size for member in members)
    limit = max(current_limit_bytes(), _MOST_UNPACKED * path.stat().st_size)
    require_affordable((total,), 1, where=path, limit_bytes=limit)
