"""Limits of a DICOM file, checked before it is parsed, and suppression of readers' warnings."""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydicom import config
from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from plgg.core.errors import InputError
from plgg.data.budget import GIB, current_limit_bytes

LARGEST_VALUE_BYTES = 2**28
"""Largest value in a header; larger ones are not read. Groups of 10 000 frames take 20 MiB."""

MOST_ITEMS = 500_000
"""Items of all sequences of one file: an item of 8 bytes takes a thousand bytes once parsed."""

_META_AT, _LARGEST_META_BYTES = 132, 2**20
_ITEM_MARKS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_CHUNK_BYTES = 2**22


def require_parsable(handle: BinaryIO, path: Path) -> bool:
    """Refuse a file that inflates beyond the memory limit, or has far too many sequence items.

    Args:
        handle: A DICOM file; rewound to its first byte.
        path: For messages.

    Returns:
        Whether it is deflated as a whole.

    Raises:
        InputError: If it would take too much.
        Exception: Whatever the reader raises where the file is damaged.
    """
    length = handle.seek(0, 2)
    handle.seek(_META_AT)
    meta = read_dataset(
        handle,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag >> 16 != 2,
        defer_size=_LARGEST_META_BYTES,
    )
    deflated = str(meta.get("TransferSyntaxUID")) == DeflatedExplicitVRLittleEndian
    if handle.tell() > _META_AT + _LARGEST_META_BYTES:
        raise ValueError("a long preface")
    if deflated:
        _require_few_items(_inflated(handle, path), path)
    elif length > 8 * MOST_ITEMS:
        _require_few_items(iter(lambda: handle.read(_CHUNK_BYTES), b""), path)
    handle.seek(0)
    return deflated


def _inflated(handle: BinaryIO, path: Path) -> Iterator[bytes]:
    """Inflate the rest of a file piece by piece, at most to the memory limit."""
    inflating, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while packed := inflating.unconsumed_tail or handle.read(_CHUNK_BYTES):
        piece = inflating.decompress(packed, _CHUNK_BYTES)
        total += len(piece)
        if total > current_limit_bytes():
            most = f"{current_limit_bytes() / GIB:.3g} GiB"
            raise InputError(
                f"holds a deflated file that inflates to more than {most}",
                where=path,
                remedy="Export it without compression, or allow more with --scan-gib.",
            )
        yield piece
        if inflating.eof:
            return


def _require_few_items(pieces: Iterator[bytes], path: Path) -> None:
    counts = dict.fromkeys(_ITEM_MARKS, 0)
    for piece in pieces:
        for mark in _ITEM_MARKS:
            counts[mark] += piece.count(mark)
        if max(counts.values()) > MOST_ITEMS:
            raise InputError(
                f"holds a file of more than {MOST_ITEMS} items in sequences",
                where=path,
                remedy="Name the folder of the FLAIR alone, or export it as one file a slice.",
            )


@contextmanager
def silenced_readers() -> Iterator[None]:
    """Silence the readers, whose warnings and log lines quote the values they are about."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels, mode = [logger.level for logger in loggers], config.settings.reading_validation_mode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        config.settings.reading_validation_mode = config.IGNORE
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            config.settings.reading_validation_mode = mode
