"""`Picture`: one slice of one DICOM file as its header describes it, and `read_pictures`.

Classic and enhanced (multi-frame) files become the same list here, so that later steps treat them
alike. Lengths are in mm, in DICOM's own world (x to the patient's Left, y Posterior, z Superior).
Fields that identify a patient are read only to distinguish slices, and are left out of every
`repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword

from plgg.data.dicom.header import (
    GE_CREATOR,
    GE_KIND,
    acquired,
    age_years,
    complex_component,
    first,
    image_type,
    known_words,
    names_contrast,
    non_grey_kind,
    number,
    numbers,
    padding,
    sop_class,
    time_ms,
    whole,
)
from plgg.data.dicom.limits import LARGEST_VALUE_BYTES

MR_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4",
)
"""MR, enhanced MR and legacy converted enhanced MR image storage."""

_KEYWORDS = (
    "SOPClassUID", "ImageType", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime",
    "StudyDate", "StudyTime", "SeriesTime", "Modality", "SeriesDescription", "ProtocolName",
    "PatientID", "PatientAge", "PatientSex", "EchoTime",
    "InversionTime", "InversionTimes", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber",
    "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "RescaleSlope", "RescaleIntercept", "ComplexImageComponent",
    "EffectiveEchoTime", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "SOPInstanceUID", "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelRepresentation",
    "ContrastBolusAgent", "ContrastBolusAgentSequence", "ModalityLUTSequence", "ConcatenationUID",
    "InConcatenationNumber", "InConcatenationTotalNumber", "ImagesInAcquisition",
    "RealWorldValueMappingSequence",
)  # fmt: skip
_TAGS = [tag for tag in map(tag_for_keyword, _KEYWORDS) if tag is not None]
_TAGS += [GE_CREATOR, GE_KIND]
MOST_OFF_UNIT = 0.05
"""Largest deviation of the length of rounded direction cosines from 1."""

_SPACING_MM = (0.01, 1000.0)
_FARTHEST_MM = 1e6


@dataclass(frozen=True, eq=False)
class Plane:
    """Position and orientation of a slice.

    Attributes:
        position: Centre of its first pixel, (3,).
        across: Step from one column to the next, (3,).
        down: Step from one row to the next, (3,).
    """

    position: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]


@dataclass(frozen=True)
class Concatenation:
    """The place of a file among those that an enhanced image was parted into.

    Attributes:
        number: Of this part, from 1.
        total: How many there are; None where the header does not say.
        uid: Identifies the concatenation; not for showing.
    """

    number: int
    total: int | None
    uid: str = field(repr=False)


@dataclass(frozen=True, eq=False)
class Picture:
    """One slice.

    Attributes:
        file: Relative name of its file.
        frame: Its place in the file, from 0.
        plane: None where the header does not say where it lies.
        shape: Rows and columns.
        slope: Factor from stored values to real ones.
        intercept: Added after the factor.
        is_rescaled: Whether the header gives the two; else they are 1 and 0.
        image_type: Parts of ImageType (or FrameType) in capitals.
        component: Of the complex signal, such as `MAGNITUDE` or `PHASE`; empty where not said.
        echo_ms: Echo time.
        inversion_ms: Inversion time.
        frames: How many its file holds.
        n_acquired: Images that its acquisition is said to have.
        concatenation: Of which its file is a part.
        stands_for: Number of images that it represents: all frames of a file that does not give
            their positions, else 1.
        colour: Kind of pixels if they are not plain grey values (MONOCHROME2); else None.
        padding: The two ends of the range of stored values for padding; signs may be lost.
        contrast: Whether a contrast agent is named.
        modality: For example `MR`.
        number: SeriesNumber.
        words: Recognised words of the series' description.
        age_years: Age at the scan.
        sex: `F` or `M`.
        pixels: Whether the file goes on after its header.
        mr: Whether it is stored as an MR image.
        instance: SOPInstanceUID; never in messages.
        series: SeriesInstanceUID, else the series number; never in messages.
        patient: PatientID; never in messages.
        study: StudyInstanceUID; never in messages.
        space: FrameOfReferenceUID; never in messages.
        acquired: Date and time, for sorting; never in messages.
    """

    file: str
    frame: int
    plane: Plane | None
    shape: tuple[int, int]
    slope: float
    intercept: float
    is_rescaled: bool
    image_type: tuple[str, ...]
    component: str
    echo_ms: float | None
    inversion_ms: float | None
    frames: int
    n_acquired: int | None
    concatenation: Concatenation | None
    stands_for: int
    colour: str | None
    padding: tuple[int, int] | None
    contrast: bool
    modality: str
    number: int | None
    words: tuple[str, ...]
    age_years: float | None
    sex: str | None
    pixels: bool
    mr: bool
    instance: str = field(repr=False)
    series: str = field(repr=False)
    patient: str = field(repr=False)
    study: str = field(repr=False)
    space: str = field(repr=False)
    acquired: str = field(repr=False)

    @property
    def place(self) -> tuple[float, ...] | None:
        """Position of its first pixel to a hundredth of a mm; None where it is not said."""
        return None if self.plane is None else tuple(np.round(self.plane.position, 2).tolist())


def read_pictures(name: str, handle: BinaryIO, *, deflated: bool) -> list[Picture]:
    """The slices that one file's header describes; the pixels are not read.

    Args:
        name: Relative name of the file.
        handle: At its first byte.
        deflated: Whether all of it is, so that its end does not show whether it has pixels.

    Raises:
        Exception: Whatever the reader raises at a damaged header.
    """
    header = pydicom.dcmread(
        handle,
        stop_before_pixels=True,
        specific_tags=_TAGS,
        defer_size=LARGEST_VALUE_BYTES,
    )
    pixels = deflated or handle.read(1) != b""
    shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
    groups = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    n_frames = max(1, whole(header.get("NumberOfFrames"), 1))
    count = max(n_frames, len(groups))
    # Several frames lie nowhere if they have no places of their own, or not one each.
    placeless = count > 1 and len(groups) != n_frames
    layers = [[header]] if placeless or not groups else [[g, shared, header] for g in groups]
    return [
        _picture(name, index, layer, pixels=pixels, stands_for=count if placeless else 1)
        for index, layer in enumerate(layers)
    ]


def _picture(name: str, frame: int, layers: list[Any], *, pixels: bool, stands_for: int) -> Picture:
    header = layers[-1]
    shape = whole(header.get("Rows"), 0), whole(header.get("Columns"), 0)
    slope, intercept = _scaling(layers)
    has_number = header.get("SeriesNumber") not in (None, "")
    return Picture(
        file=name,
        frame=frame,
        plane=None if stands_for > 1 else _plane(layers),
        shape=(max(0, shape[0]), max(0, shape[1])),
        slope=1.0 if slope is None else slope,
        intercept=intercept,
        is_rescaled=slope is not None,
        image_type=image_type(layers),
        component=complex_component(layers),
        echo_ms=time_ms(layers, "EffectiveEchoTime", "EchoTime"),
        inversion_ms=time_ms(layers, "InversionTimes", "InversionTime"),
        frames=max(1, whole(header.get("NumberOfFrames"), 1)),
        n_acquired=_count(header.get("ImagesInAcquisition")),
        concatenation=_concatenation(header),
        stands_for=stands_for,
        colour=non_grey_kind(header),
        padding=padding(header),
        contrast=names_contrast(header),
        modality=str(header.get("Modality") or "MR").upper(),
        number=whole(header.SeriesNumber, 0) if has_number else None,
        words=known_words(f"{header.get('SeriesDescription')} {header.get('ProtocolName')}"),
        age_years=age_years(str(header.get("PatientAge") or "")),
        sex={"F": "F", "M": "M"}.get(str(header.get("PatientSex") or "").upper()),
        pixels=pixels,
        mr=sop_class(header) in MR_CLASSES,
        instance=str(header.get("SOPInstanceUID") or ""),
        series=str(header.get("SeriesInstanceUID") or f"number {header.get('SeriesNumber')}"),
        patient=str(header.get("PatientID") or ""),
        study=str(header.get("StudyInstanceUID") or ""),
        space=str(header.get("FrameOfReferenceUID") or ""),
        acquired=acquired(header),
    )


def _scaling(layers: list[Any]) -> tuple[float | None, float]:
    """Slope, None where the header gives none, and intercept.

    Files without a rescaling may map their values to those of the real world alone.
    """
    slope = first(layers, "RescaleSlope")
    if slope is not None:
        return number(slope, 1.0), number(first(layers, "RescaleIntercept"), 0.0)
    # Of a classic file, the mapping lies in the file itself, as a group of a frame does.
    mapped = [*layers, None]
    slope = first(mapped, "RealWorldValueSlope")
    if slope is not None:
        return number(slope, 1.0), number(first(mapped, "RealWorldValueIntercept"), 0.0)
    return None, 0.0


def _concatenation(header: Any) -> Concatenation | None:  # noqa: ANN401 - a data set of pydicom
    uid = str(header.get("ConcatenationUID") or "")
    if not uid:
        return None
    total = _count(header.get("InConcatenationTotalNumber"))
    return Concatenation(_count(header.get("InConcatenationNumber")) or 0, total, uid)


def _count(value: Any) -> int | None:  # noqa: ANN401 - a DICOM value is any
    """A positive whole number; None for anything else, since no slice depends on it."""
    try:
        return max(0, whole(value, 0)) or None
    except (ValueError, TypeError, OverflowError):
        return None


def _plane(layers: list[Any]) -> Plane | None:
    position = numbers(first(layers, "ImagePositionPatient"), 3)
    directions = numbers(first(layers, "ImageOrientationPatient"), 6)
    spacing = numbers(first(layers, "PixelSpacing"), 2)
    if position is None or directions is None or spacing is None:
        return None
    low, high = _SPACING_MM
    if spacing.min() < low or spacing.max() > high or np.abs(position).max() > _FARTHEST_MM:
        return None
    across, down = _unit(directions[:3]), _unit(directions[3:])
    if across is None or down is None:
        return None
    # PixelSpacing is the distance between rows, then between columns.
    return Plane(position, across * spacing[1], down * spacing[0])


def _unit(direction: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Normalise a direction to length 1; None if it is not a rounded unit vector."""
    length = float(np.linalg.norm(direction))
    return direction / length if abs(length - 1.0) <= MOST_OFF_UNIT else None
