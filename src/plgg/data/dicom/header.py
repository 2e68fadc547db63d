"""Values of classic and enhanced DICOM headers as plain Python types, without patient names."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COLOURS = (
    "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT",
)  # fmt: skip
_NO_CONTRAST = ("", "NO", "NONE", "N", "0", "NIL", "NO CONTRAST", "WITHOUT", "OHNE", "N/A", "NA")


def image_type(layers: list[Layer]) -> tuple[str, ...]:
    """The parts of FrameType or ImageType in capitals."""
    own = first([*layers[:-1], None], "FrameType")
    found = own if own is not None else layers[-1].get("ImageType")
    return tuple(str(part).upper() for part in parts(found))


def complex_component(layers: list[Layer]) -> str:
    """`MAGNITUDE`, `PHASE`, `REAL`, `IMAGINARY` or `MIXED`; empty where the header does not say.

    GE says it of a classic image by a number of its own.
    """
    named = first(layers, "ComplexImageComponent")
    if named is not None:
        return str(named).strip().upper()
    creator, kind = layers[-1].get(GE_CREATOR), layers[-1].get(GE_KIND)
    if creator is None or kind is None or str(creator.value).strip() != "GEMS_PARM_01":
        return ""
    names = {0: "MAGNITUDE", 1: "PHASE", 2: "REAL", 3: "IMAGINARY"}
    return names.get(_ge_kind(kind.value), "")


GE_CREATOR, GE_KIND = 0x00430010, 0x0043102F


def _ge_kind(value: Any) -> int:  # noqa: ANN401 - a DICOM value is any
    if isinstance(value, bytes):  # As implicit encoding leaves private values.
        return int.from_bytes(value[:2], "little")
    try:
        return whole(value, -1)
    except (ValueError, TypeError):
        return -1


def acquired(header: Layer) -> str:
    """Date and time in digits, for sorting."""
    if header.get("AcquisitionDateTime"):
        return str(header.AcquisitionDateTime)
    date = header.get("AcquisitionDate") or header.get("StudyDate") or ""
    time = header.get("AcquisitionTime") or header.get("SeriesTime") or header.get("StudyTime")
    return f"{date}{time or ''}"


def sop_class(header: Layer) -> str:
    """SOP class UID of the file."""
    return str(header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID") or "")


def non_grey_kind(header: Layer) -> str | None:
    """Kind of the image if its pixels are not plain grey values (MONOCHROME2); else None."""
    kind = str(header.get("PhotometricInterpretation") or "MONOCHROME2").strip().upper()
    samples = whole(header.get("SamplesPerPixel"), 1)
    if header.get("ModalityLUTSequence"):
        return "values that a lookup table is to turn into others"
    if samples == 1 and kind == "MONOCHROME2":
        return None
    if samples == 1 and kind == "MONOCHROME1":
        return "inverted images (MONOCHROME1: small values are bright)"
    if samples == 1 and kind not in _COLOURS:
        return "images of an unknown kind (no PhotometricInterpretation of DICOM's)"
    named = kind if kind in _COLOURS else f"{samples} values a pixel"
    return f"colour images ({named}), such as a screenshot or a colour map"


def padding(header: Layer) -> tuple[int, int] | None:
    """The two ends of the range of stored values for padding; their signs may be lost."""
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


OLDEST_YEARS = 120.0
Layer = Any
"""A data set of pydicom, or None where there is none."""


# PS3.3 C.7.6.16: the functional group that holds an attribute. Vendors repeat public attributes in
# private groups, with other values.
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RealWorldValueSlope": "RealWorldValueMappingSequence",
    "RealWorldValueIntercept": "RealWorldValueMappingSequence",
    "FrameType": "MRImageFrameTypeSequence",
    "ComplexImageComponent": "MRImageFrameTypeSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "InversionTimes": "MRModifierSequence",
}
_CONVERTED = (
    "UnassignedPerFrameConvertedAttributesSequence",
    "UnassignedSharedConvertedAttributesSequence",
)
"""Where a converted file keeps what no other group has, such as EchoTime."""


def first(layers: list[Layer], keyword: str) -> Any:  # noqa: ANN401 - a DICOM value is any
    """A value from the frame's own functional groups, else the shared ones, else the file.

    Args:
        layers: The item of the frame and the shared one, None where there is none; the file last.
        keyword: Of the attribute.
    """
    *groups, header = layers
    names = (_GROUPS[keyword],) if keyword in _GROUPS else _CONVERTED
    items = [_item(group, name) for group in groups for name in names]
    values = (item.get(keyword) for item in (*items, header) if item is not None)
    return next((value for value in values if value not in (None, "")), None)


def _item(group: Layer, name: str) -> Layer:
    """The only item of a functional group; None of several, as of a scale of many parts."""
    items = group.get(name) if group is not None else None
    return items[0] if items and len(items) == 1 else None


def time_ms(layers: list[Layer], *keywords: str) -> float | None:
    """The first positive time among some attributes, in ms."""
    values = (number(first(layers, keyword), 0.0) for keyword in keywords)
    return next((value for value in values if value > 0), None)


def parts(value: Any) -> list[Any]:  # noqa: ANN401
    """The values of an attribute that may hold none, one or several."""
    if value is None or isinstance(value, str):
        return [] if value is None else [value]
    return list(value)


def number(value: Any, default: float) -> float:  # noqa: ANN401
    """The first value as a number; the default where there is none."""
    found = parts(value) if hasattr(value, "__len__") else [value]
    return default if not found or found[0] in (None, "") else float(found[0])


def whole(value: Any, default: int) -> int:  # noqa: ANN401
    """The first value as a whole number; the default where there is none."""
    return int(number(value, default))


def numbers(value: Any, count: int) -> NDArray[np.float64] | None:  # noqa: ANN401
    """Exactly `count` finite numbers, or None."""
    found = parts(value)
    if len(found) != count or None in found:
        return None
    converted = np.array([float(part) for part in found])
    return converted if np.isfinite(converted).all() else None


def age_years(text: str) -> float | None:
    """Years from DICOM's age string, such as `007Y`, `018M`, `003W` or `012D`.

    None where it is missing or implausible, such as 000Y or 999Y.
    """
    found = re.fullmatch(r"\s*([0-9]{1,3})([YMWD])\s*", text.upper())
    if found is None:
        return None
    years = int(found[1]) / {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.2425}[found[2]]
    return round(years, 3) if 0 < years <= OLDEST_YEARS else None


_WORDS = {
    "flair": "FLAIR", "tirm": "TIRM", "darkfluid": "dark-fluid", "stir": "STIR", "3d": "3D",
    "2d": "2D", "fs": "FS", "fatsat": "FS", "space": "SPACE", "cube": "CUBE", "vista": "VISTA",
    "dwi": "DWI", "dti": "DTI", "adc": "ADC", "swi": "SWI", "trace": "trace", "bold": "BOLD",
    "perfusion": "perfusion", "asl": "ASL", "mprage": "MPRAGE", "bravo": "BRAVO", "pd": "PD",
    "mpr": "MPR", "mip": "MIP", "loc": "localizer", "localizer": "localizer", "scout": "localizer",
    "localiser": "localizer", "survey": "localizer", "tse": "TSE", "fse": "FSE", "gre": "GRE",
    "propeller": "PROPELLER", "blade": "BLADE", "post": "post", "pre": "pre", "gd": "Gd",
    "gad": "Gd", "dir": "DIR", "psir": "PSIR", "minip": "MIP", "diff": "DWI", "diffusion": "DWI",
    "swan": "SWI", "mra": "MRA", "tof": "MRA",
}  # fmt: skip
_AGENT = r"(?:gd|gad|gado\w*|[ck]ontrast\w*|km|mdc|ce|c\b)"
_EVENT = r"(?:op|surg|rt|rad|chem|treat|ther|bio|resect|shunt|trauma)"
# Searched in this order; each match is removed from the text before the next search.
_INSIDE = (
    ("flair", "flair"), ("tirm", "tirm"), (r"dark[^a-z0-9]?fluid", "darkfluid"),
    (rf"\b(?:pre|post)[\s./-]*{_EVENT}\w*", None),
    (rf"\b(?:w[/\s]?o|without|no|non|pre|ohne|vor|sans|sin|senza|sem)[\s./+-]*{_AGENT}\b", "pre"),
    (rf"\bpost[\s./+-]*{_AGENT}\b", "post"),
    (rf"\+\s?c\b|\bc\s?\+|\b(?!c\b){_AGENT}\b", "gd"),
)  # fmt: skip
_WEIGHTING = re.compile(r"(?:ax|tra|sag|cor|e|s)?(t[12])w?i?")


def known_words(text: str) -> tuple[str, ...]:
    """The recognised words of a text, each once, in the list's own spelling."""
    lower = text.lower().replace("_", " ")
    found: list[str] = []
    for pattern, word in _INSIDE:
        if re.search(pattern, lower):
            found += [_WORDS[word]] if word else []
            lower = re.sub(pattern, " ", lower)
    for token in re.findall(r"[a-z0-9]+", lower):
        weighting = _WEIGHTING.fullmatch(token)
        known = str(weighting[1]).upper() if weighting else _WORDS.get(token)
        if known is not None:
            found.append(known)
    # T1 and T2 lead, as people write them.
    return tuple(sorted(dict.fromkeys(found), key=lambda word: word not in ("T1", "T2")))
