"""`Picture`: one slice of one DICOM file as its header describes it, and `read_pictures`.

Classic and enhanced (multi-frame) files become the same list here, so that nothing after this
knows the difference. Lengths in mm, in DICOM's own world (x to the patient's Left, y Posterior,
z Superior). Fields that identify a patient are read only where slices must be told apart, and are
kept out of every `repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword

from plgg.io.dicom.values import age_years, first, number, numbers, parts, time_ms
from plgg.io.dicom.words import known_words

MR_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4",
)
"""MR, enhanced MR and legacy converted enhanced MR image storage."""

_KEYWORDS = (
    "SOPClassUID", "ImageType", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime",
    "StudyDate", "StudyTime", "SeriesTime", "Modality", "SeriesDescription", "ProtocolName",
    "PatientID", "PatientAge", "PatientSex", "ScanningSequence", "RepetitionTime", "EchoTime",
    "InversionTime", "InversionTimes", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber",
    "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "RescaleSlope", "RescaleIntercept", "ComplexImageComponent", "PulseSequenceName",
    "EffectiveEchoTime", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_TAGS = [tag for tag in map(tag_for_keyword, _KEYWORDS) if tag is not None]


@dataclass(frozen=True, eq=False)
class Plane:
    """Where a slice lies.

    Attributes:
        position: Centre of its first pixel, (3,).
        across: Step from one column to the next, (3,).
        down: Step from one row to the next, (3,).
    """

    position: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]


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
        image_type: Parts of ImageType (or FrameType) in capitals.
        echo_ms: Echo time.
        inversion_ms: Inversion time.
        colour: Whether it is not one number a pixel, growing with brightness.
        modality: For example `MR`.
        number: SeriesNumber.
        words: Recognised words of the series' description.
        inverted: Whether the sequence is said to be an inversion recovery.
        age_years: Age at the scan.
        sex: `F` or `M`.
        pixels: Whether the file goes on after its header.
        mr: Whether it is stored as an MR image.
        series: Identifies the series; not for showing.
        patient: Identifies the patient; not for showing.
        study: Identifies the study; not for showing.
        space: Identifies the world of the positions; not for showing.
        acquired: Sorts by date and time; not for showing.
    """

    file: str
    frame: int
    plane: Plane | None
    shape: tuple[int, int]
    slope: float
    intercept: float
    image_type: tuple[str, ...]
    echo_ms: float | None
    inversion_ms: float | None
    colour: bool
    modality: str
    number: int | None
    words: tuple[str, ...]
    inverted: bool
    age_years: float | None
    sex: str | None
    pixels: bool
    mr: bool
    series: str = field(repr=False)
    patient: str = field(repr=False)
    study: str = field(repr=False)
    space: str = field(repr=False)
    acquired: str = field(repr=False)


def read_pictures(name: str, handle: BinaryIO) -> list[Picture]:
    """The slices that one file's header describes; the pixels are not read."""
    header = pydicom.dcmread(handle, stop_before_pixels=True, specific_tags=_TAGS)
    deflated = (
        header.file_meta.get("TransferSyntaxUID") == pydicom.uid.DeflatedExplicitVRLittleEndian
    )
    pixels = deflated or handle.read(1) != b""
    shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
    frames = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    count = int(header.get("NumberOfFrames") or 1)
    # Several frames without their own places are pictures that lie nowhere.
    layers = [[header]] if not frames else [[frame, shared, header] for frame in frames]
    layers = layers if len(layers) == count else [[header]] * count
    placeless = count > 1 and len(frames) != count
    return [
        _picture(name, index, layer, pixels=pixels, placeless=placeless)
        for index, layer in enumerate(layers)
    ]


def _picture(name: str, frame: int, layers: list[Any], *, pixels: bool, placeless: bool) -> Picture:
    header = layers[-1]
    return Picture(
        file=name,
        frame=frame,
        plane=None if placeless else _plane(layers),
        shape=(int(header.get("Rows") or 0), int(header.get("Columns") or 0)),
        slope=number(first(layers, "RescaleSlope"), 1.0),
        intercept=number(first(layers, "RescaleIntercept"), 0.0),
        image_type=tuple(str(part).upper() for part in parts(_image_type(layers))),
        echo_ms=time_ms(layers, "EffectiveEchoTime", "EchoTime"),
        inversion_ms=time_ms(layers, "InversionTimes", "InversionTime"),
        colour=_is_colour(header),
        modality=str(header.get("Modality") or "MR").upper(),
        number=None if header.get("SeriesNumber") is None else int(header.SeriesNumber),
        words=known_words(f"{header.get('SeriesDescription')} {header.get('ProtocolName')}"),
        inverted="IR" in parts(header.get("ScanningSequence")),
        age_years=age_years(str(header.get("PatientAge") or "")),
        sex={"F": "F", "M": "M"}.get(str(header.get("PatientSex") or "").upper()),
        pixels=pixels,
        mr=_sop_class(header) in MR_CLASSES,
        series=str(header.get("SeriesInstanceUID") or f"number {header.get('SeriesNumber')}"),
        patient=str(header.get("PatientID") or ""),
        study=str(header.get("StudyInstanceUID") or ""),
        space=str(header.get("FrameOfReferenceUID") or ""),
        acquired=_acquired(header),
    )


def _plane(layers: list[Any]) -> Plane | None:
    position = numbers(first(layers, "ImagePositionPatient"), 3)
    directions = numbers(first(layers, "ImageOrientationPatient"), 6)
    spacing = numbers(first(layers, "PixelSpacing"), 2)
    if position is None or directions is None or spacing is None:
        return None
    # PixelSpacing is the distance between rows, then between columns.
    return Plane(position, directions[:3] * spacing[1], directions[3:] * spacing[0])


def _image_type(layers: list[Any]) -> Any:  # noqa: ANN401
    own = first(layers[:-1], "FrameType")
    return own if own is not None else layers[-1].get("ImageType")


def _acquired(header: Any) -> str:  # noqa: ANN401
    if header.get("AcquisitionDateTime"):
        return str(header.AcquisitionDateTime)
    date = header.get("AcquisitionDate") or header.get("StudyDate") or ""
    time = header.get("AcquisitionTime") or header.get("SeriesTime") or header.get("StudyTime")
    return f"{date}{time or ''}"


def _sop_class(header: Any) -> str:  # noqa: ANN401
    return str(header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID") or "")


def _is_colour(header: Any) -> bool:  # noqa: ANN401
    kind = str(header.get("PhotometricInterpretation") or "MONOCHROME2")
    return int(header.get("SamplesPerPixel") or 1) != 1 or kind != "MONOCHROME2"
