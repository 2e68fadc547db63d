"""Stream the bytes of one file, plain or gzip, in pieces, and hash them in the same pass.

The SHA-256 is of the file as it lies on disk, so that an image and its hash come from the same
bytes. Of gzip, every member's checksum and length are verified by the time its end is reached.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from plgg.core.errors import InputError
from plgg.core.regular import open_regular

GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 2**20
_GZIP = 16 + zlib.MAX_WBITS
_MOST_MEMBERS = 2**17
"""Gzip members of one file: 8 GiB in blocks of 64 KiB, as bgzip writes them."""


class Plain:
    """Reader of a file without compression.

    Attributes:
        size: Of the file, in bytes.
        trailing: Whether other bytes follow the contents.
    """

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._digest = hashlib.sha256()
        self.size = os.fstat(handle.fileno()).st_size
        self.trailing = False

    def read(self, n_bytes: int) -> bytes:
        """The next bytes; fewer only at the end."""
        piece = self._handle.read(n_bytes)
        self._digest.update(piece)
        return piece

    def sha256(self) -> str:
        """SHA-256 of the whole file; reads the rest of it."""
        while self.read(_CHUNK):
            pass
        return self._digest.hexdigest()


class Gzip:
    """Reader of a gzip file.

    Attributes:
        size: Size of the compressed file, in bytes.
        trailing: Whether other bytes than padding with zeros follow the last gzip member.

    Raises:
        EOFError: From `read`, if the file ends within a member.
        zlib.error: From `read`, if the bytes are damaged.
    """

    def __init__(self, source: Plain) -> None:
        self._source = source
        self._waiting = b""
        self._member = zlib.decompressobj(_GZIP)
        self._n_members = 1
        self._ended = False
        self.size = source.size
        self.trailing = False

    def read(self, n_bytes: int) -> bytes:
        """The next bytes; fewer only at the end. No more than these are decompressed."""
        pieces: list[bytes] = []
        wanted = n_bytes
        while wanted > 0 and not self._ended:
            piece = self._piece(wanted)
            wanted -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def sha256(self) -> str:
        """SHA-256 of the whole compressed file."""
        return self._source.sha256()

    def _piece(self, wanted: int) -> bytes:
        if self._member.eof:
            self._next_member()
            return b""
        packed = self._waiting or self._source.read(_CHUNK)
        if not packed:
            raise EOFError
        piece = self._member.decompress(packed, wanted)
        self._waiting = self._member.unconsumed_tail
        return piece

    def _next_member(self) -> None:
        rest = self._member.unused_data.lstrip(b"\0")
        while not rest and (more := self._source.read(_CHUNK)):
            rest = more.lstrip(b"\0")
        if len(rest) == 1:
            rest += self._source.read(_CHUNK)
        if not rest.startswith(GZIP_MAGIC):
            self._ended, self.trailing = True, bool(rest)
            return
        self._n_members += 1
        if self._n_members > _MOST_MEMBERS:
            raise zlib.error("too many members")
        self._member, self._waiting = zlib.decompressobj(_GZIP), rest


@contextmanager
def unpacking(path: Path) -> Iterator[Plain | Gzip]:
    """Open a file for streaming; it is decompressed if its first bytes are those of gzip.

    Raises:
        InputError: If it is not a regular file, or cannot be opened.
    """
    handle = _opened(path)
    with handle:
        packed = handle.read(2) == GZIP_MAGIC
        handle.seek(0)
        plain = Plain(handle)
        yield Gzip(plain) if packed else plain


def _opened(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no regular file"
        raise InputError(
            f"cannot be opened ({reason.lower()})", where=path, remedy="Check its permissions."
        ) from error
