"""The size that a compressed frame itself declares, before a decoder makes room for it.

A kilobyte of JPEG-LS can declare 65535×65535 pixels, whatever the header around it says. The
layouts are those of ITU-T T.81 annex B, T.87 annex C and T.800 annex A.
"""

from __future__ import annotations

import struct

from plgg.io.dicom.lossless_jpeg import segments

_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SIZE_OF_2000 = b"\xff\x4f\xff\x51"
_MOST_COMPONENTS = 4


def check_size(frame: bytes, *, rows: int, columns: int) -> None:
    """Refuse a frame that declares another size than its header.

    Args:
        frame: JPEG, JPEG-LS or JPEG 2000.
        rows: Of the image.
        columns: Of the image.

    Raises:
        ValueError: If it does, or declares none.
    """
    found = _jpeg_2000(frame) if _SIZE_OF_2000 in frame[:4096] else _jpeg(frame)
    if found[:2] != (rows, columns) or found[2] > _MOST_COMPONENTS:
        raise ValueError("another size than the header's")


def _jpeg(frame: bytes) -> tuple[int, int, int]:
    """Rows, columns and components."""
    for marker, body, _ in segments(frame):
        if marker in _FRAMES:
            rows, columns, components = struct.unpack_from(">HHB", body, 1)
            return rows, columns, components
    raise ValueError("no frame")


def _jpeg_2000(frame: bytes) -> tuple[int, int, int]:
    """Rows, columns and components."""
    at = frame.index(_SIZE_OF_2000) + 8
    right, bottom, left, top = struct.unpack_from(">IIII", frame, at)
    (components,) = struct.unpack_from(">H", frame, at + 32)
    return bottom - top, right - left, components
