"""The stored values of one parsed DICOM file, whatever it was compressed with.

Each compression has one decoder, named here, so that a scan does not depend on what else is
installed. Damage must end in an exception: GDCM may end the whole process instead, so it is
used only where nothing else can, after a look at the stream itself.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_frames

from plgg.io.dicom.frame_size import check_size
from plgg.io.dicom.lossless_jpeg import check_lossless_jpeg
from plgg.io.dicom.values import whole

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
    """Why nobody can know where in the file's bytes the values are, in a clause; None if one can.

    A stored value fills its lowest bits. Old scanners filled the highest, and said so; readers
    that look at the lowest alone, as nearly all do, see something else.
    """
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if not syntax:
        return "does not say how its pixels are encoded (it names no transfer syntax)"
    stored = whole(dataset.get("BitsStored"), 0)
    high = whole(dataset.get("HighBit"), stored - 1)
    if syntax not in _DECODERS and high != stored - 1:
        return f"does not keep its values in the lowest bits ({stored} bits, the highest is {high})"
    return None


def _check_lossless(dataset: Dataset, frame: bytes) -> None:
    bits = int(dataset.BitsAllocated)
    if bits not in (8, 16) or int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise ValueError("unusual pixels")
    check_lossless_jpeg(frame, rows=int(dataset.Rows), columns=int(dataset.Columns), bits=bits)
