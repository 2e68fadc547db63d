"""Decode the pixel data of one DICOM file: check its size, decompress it, find padding.

Each compression has one decoder, named here, so that a scan does not depend on other installed
packages. Damaged data must raise an exception. GDCM may crash the process instead, so it is used
only where there is no other decoder, after a check of the stream itself.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_frames

from plgg.data.dicom.header import whole

_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_DECODERS = {
    "1.2.840.10008.1.2.4.50": "pillow",  # JPEG, 8 bits
    "1.2.840.10008.1.2.4.51": "pillow",  # JPEG extended; 12 bits are refused by all decoders
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pillow",  # JPEG 2000
    "1.2.840.10008.1.2.4.91": "pillow",
    **dict.fromkeys(_LOSSLESS, "gdcm"),
}


def stored_values(dataset: Dataset) -> NDArray[Any]:
    """Values before rescaling, shape (frames, rows, columns).

    Raises:
        ValueError: If the pixels contradict the header; the decoders raise much else.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if syntax in _DECODERS:
        count = int(dataset.get("NumberOfFrames") or 1)
        for frame in generate_frames(dataset.PixelData, number_of_frames=count):
            check_size(frame, rows=rows, columns=columns)
            if syntax in _LOSSLESS:
                _check_lossless(dataset, frame)
    dataset.pixel_array_options(decoding_plugin=_DECODERS.get(syntax, ""))
    stored = dataset.pixel_array
    return stored if stored.ndim == 3 else stored[None]


def encoding_fault(dataset: Dataset) -> str | None:
    """Why the pixel encoding is ambiguous or unsupported, in a clause; None if it is neither.

    A stored value fills its lowest bits. Old scanners filled the highest bits and declared that,
    but almost all readers ignore it and decode wrong values.
    """
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if not syntax:
        return "does not say how its pixels are encoded (it names no transfer syntax)"
    if _excess_bytes(dataset) >= whole(dataset.get("Columns"), 0):
        return "holds more pixels than its header declares"
    stored = whole(dataset.get("BitsStored"), 0)
    high = whole(dataset.get("HighBit"), stored - 1)
    if syntax not in _DECODERS and high != stored - 1:
        return f"does not keep its values in the lowest bits ({stored} bits, the highest is {high})"
    return None


def _excess_bytes(dataset: Dataset) -> int:
    """Bytes of plain pixels beyond those declared; some writers leave a few at the end."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return 0
    frames = max(1, whole(dataset.get("NumberOfFrames"), 1))
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    bits = frames * math.prod(whole(dataset.get(name), 0) for name in names)
    if not bits:  # That something is not said is found out elsewhere.
        return 0
    keys = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    held = next((len(dataset[key].value or b"") for key in keys if key in dataset), 0)
    return held - (bits + 7) // 8


def _check_lossless(dataset: Dataset, frame: bytes) -> None:
    bits = int(dataset.BitsAllocated)
    if bits not in (8, 16) or int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise ValueError("unusual pixels")
    check_lossless_jpeg(frame, rows=int(dataset.Rows), columns=int(dataset.Columns), bits=bits)


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
        ValueError: If it is damaged or another image.
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
    """Numbers of the Huffman tables of a segment; each must be one of lossless JPEG."""
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
    """Check that coded data run to the end-of-image marker without another marker between."""
    for found in _END.finditer(data):
        marker = found[1][0]
        if restarts and 0xD0 <= marker <= 0xD7:
            continue
        if marker == 0xD9:
            return
        break
    raise ValueError("the codes are cut short")


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


def is_padding(stored: NDArray[Any], ends: tuple[int, int] | None) -> NDArray[np.bool_]:
    """Which stored values are padding.

    Args:
        stored: Pixels before rescaling.
        ends: PixelPaddingValue and PixelPaddingRangeLimit, in any order. A header that says 32768
            of signed pixels means -32768, the same 16 bits.
    """
    if ends is None or not np.issubdtype(stored.dtype, np.integer):
        return np.zeros(stored.shape, np.bool_)
    kind = np.iinfo(stored.dtype)
    one, other = ((end - kind.min) % 2**kind.bits + kind.min for end in ends)
    inside = (stored >= min(one, other)) & (stored <= max(one, other))
    return np.asarray(inside, dtype=np.bool_)


def clear_padding(data: NDArray[np.float32], padded: NDArray[np.bool_]) -> None:
    """Make padding background, in place: 0, or the lowest value measured where that is negative."""
    if padded.any() and not padded.all():
        data[padded] = min(0.0, float(data.min(where=~padded, initial=np.inf)))
    elif padded.any():
        data[:] = 0.0
