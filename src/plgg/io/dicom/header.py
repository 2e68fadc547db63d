"""What one header says of an image as a whole, in plain Python and without a name."""

from __future__ import annotations

from typing import Any

from plgg.io.dicom.values import Layer, first, parts, whole

_COLOURS = (
    "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT",
)  # fmt: skip
_NO_CONTRAST = ("", "NO", "NONE", "N", "0", "NIL", "NO CONTRAST", "WITHOUT", "OHNE", "N/A", "NA")


def image_type(layers: list[Layer]) -> tuple[str, ...]:
    """The parts of FrameType or ImageType in capitals."""
    own = first(layers[:-1], "FrameType")
    found = own if own is not None else layers[-1].get("ImageType")
    return tuple(str(part).upper() for part in parts(found))


def acquired(header: Layer) -> str:
    """Date and time in digits, for sorting."""
    if header.get("AcquisitionDateTime"):
        return str(header.AcquisitionDateTime)
    date = header.get("AcquisitionDate") or header.get("StudyDate") or ""
    time = header.get("AcquisitionTime") or header.get("SeriesTime") or header.get("StudyTime")
    return f"{date}{time or ''}"


def sop_class(header: Layer) -> str:
    """What kind of object the file is."""
    return str(header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID") or "")


def not_grey(header: Layer) -> str | None:
    """What the image is if it is not one number a pixel, growing with brightness; else None."""
    kind = str(header.get("PhotometricInterpretation") or "MONOCHROME2").strip().upper()
    samples = whole(header.get("SamplesPerPixel"), 1)
    if samples == 1 and kind == "MONOCHROME2":
        return None
    if samples == 1 and kind == "MONOCHROME1":
        return "inverted images (MONOCHROME1: small values are bright)"
    if samples == 1 and kind not in _COLOURS:
        return "images of an unknown kind (no PhotometricInterpretation of DICOM's)"
    named = kind if kind in _COLOURS else f"{samples} values a pixel"
    return f"colour images ({named}), such as a screenshot or a colour map"


def padding(header: Layer) -> tuple[int, int] | None:
    """The two stored values between which nothing was measured; their signs may be lost."""
    value, limit = (_stored(header.get(f"PixelPadding{end}")) for end in ("Value", "RangeLimit"))
    if value is None:
        return None
    return value, value if limit is None else limit


def _stored(value: Any) -> int | None:  # noqa: ANN401
    """A stored pixel value; bytes where the header leaves the sign to another attribute."""
    if isinstance(value, bytes):
        return int.from_bytes(value[:2], "little") if value else None
    found = parts(value) if hasattr(value, "__len__") else [value]
    return int(found[0]) if found and isinstance(found[0], int) else None


def names_contrast(header: Layer) -> bool:
    """Whether a contrast agent is named."""
    named = str(header.get("ContrastBolusAgent") or "").strip().upper()
    return named not in _NO_CONTRAST or bool(header.get("ContrastBolusAgentSequence"))
