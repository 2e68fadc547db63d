"""A look at a lossless JPEG before it is decoded: is it whole, and of the shape that is expected?

GDCM, the one decoder of lossless JPEG at hand, ends the whole process on a damaged stream, so
that the damage has to be found first. Knows nothing of DICOM. The layout is that of ITU-T T.81,
annexes B (segments) and H (lossless mode).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_FRAME, _TABLES, _SCAN, _RESTARTS = 0xC3, 0xC4, 0xDA, 0xDD
_PASSED_OVER = (*range(0xE0, 0xF0), 0xFE)
_END = re.compile(rb"\xff+([^\x00\xff])")


def check_lossless_jpeg(jpeg: bytes, *, rows: int, columns: int, bits: int) -> None:
    """Refuse a stream that is damaged, or not one grey image of this size.

    Args:
        jpeg: The stream.
        rows: Of the image.
        columns: Of the image.
        bits: Allocated for one pixel, 8 or 16.

    Raises:
        ValueError: If anything is not as it must be.
    """
    frame, tables, restarts = b"", set[int](), False
    for marker, body, end in segments(jpeg):
        if marker == _FRAME:
            frame = _checked_frame(body, rows, columns, bits)
        elif marker == _TABLES:
            tables |= _checked_tables(body)
        elif marker == _RESTARTS:
            restarts = True
        elif marker == _SCAN:
            _check_scan(body, frame, tables)
            _check_entropy(jpeg[end:], restarts=restarts)
            return
        elif marker not in _PASSED_OVER:
            raise ValueError("an unknown segment")


def segments(jpeg: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, body and end of each segment up to and with the scan's header."""
    if jpeg[:2] != b"\xff\xd8":
        raise ValueError("no JPEG")
    at = 2
    while True:
        head = jpeg[at : at + 4]
        end = at + 2 + int.from_bytes(head[2:], "big")
        if len(head) < 4 or head[0] != 0xFF or not at + 4 <= end <= len(jpeg):
            raise ValueError("a segment is cut short")
        yield head[1], jpeg[at + 4 : end], end
        at = end


def _checked_frame(body: bytes, rows: int, columns: int, bits: int) -> bytes:
    fits = len(body) == 9 and body[1:5] == rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
    if not fits or body[5] != 1 or body[7] != 0x11 or not 2 <= body[0] <= 16:
        raise ValueError("another image than the header's")
    if (body[0] <= 8) != (bits == 8):
        raise ValueError("other pixels than the header's")
    return body


def _checked_tables(body: bytes) -> set[int]:
    """Numbers of the code tables of a segment; each must be a code of differences."""
    found = set()
    while body:
        counts = body[1:17]
        values = body[17 : 17 + sum(counts)]
        codes = sum(count << (15 - length) for length, count in enumerate(counts))
        if body[0] > 3 or len(counts) < 16 or len(values) < sum(counts) or codes > 1 << 16:
            raise ValueError("a bad code table")
        if not values or max(values) > 16:
            raise ValueError("a code table of something else")
        found.add(body[0])
        body = body[17 + len(values) :]
    return found


def _check_scan(body: bytes, frame: bytes, tables: set[int]) -> None:
    if not frame or len(body) != 6 or body[0] != 1 or body[1] != frame[6]:
        raise ValueError("a scan of something else")
    if body[2] >> 4 not in tables or not 1 <= body[3] <= 7 or body[4] or body[5] >= frame[0]:
        raise ValueError("a scan that is not lossless")


def _check_entropy(data: bytes, *, restarts: bool) -> None:
    """The codes must run to the end-of-image marker without another one between."""
    for found in _END.finditer(data):
        marker = found[1][0]
        if restarts and 0xD0 <= marker <= 0xD7:
            continue
        if marker == 0xD9:
            return
        break
    raise ValueError("the codes are cut short")
