"""`write_structures`: a mask as DICOM RT Structure Set, contours on the images it was drawn on.

The tumour is one region of interest (ROI), and so is each label within it.

Own code: rt-utils, the one library that writes them, leaves out half a voxel all round and fills
holes (docs/adr/0015).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from plgg.core.volume import Volume
from plgg.data.dicom.contours import Points, contours
from plgg.data.dicom.limits import silenced_readers
from plgg.data.dicom.origin import Origin
from plgg.data.dicom.segmentation import mask_sha256, region_title, regions_sha256
from plgg.data.dicom.source import SourceFrames, unusable_headers_error
from plgg.data.dicom.study_object import reference, study_object
from plgg.data.dicom.write import save
from plgg.data.foreign import convert_reader_errors

if TYPE_CHECKING:
    from highdicom.base import SOPClass

_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_SERIES_NUMBER = 902

COLOURS = (
    *((255, 61, 240), (53, 214, 255), (255, 210, 61), (89, 240, 138)),
    *((255, 148, 64), (185, 162, 255), (255, 255, 255), (255, 107, 107)),
)
"""Colours of the tumour and of the labels within it, the same as on the HTML pages."""


@dataclass(frozen=True)
class _Region:
    """A region of interest: its number from 1, its name, and its voxels."""

    number: int
    name: str
    mask: Volume


def write_structures(
    path: Path,
    mask: Volume,
    *,
    frames: SourceFrames,
    origin: Origin,
    inner: Mapping[str, NDArray[np.bool_]] | None = None,
) -> None:
    """Write a structure set of the tumour and of each label within it.

    Args:
        path: The file.
        mask: Tumour on the lattice of the frames, boolean.
        frames: Frames of the source scan.
        origin: Provenance of the mask.
        inner: Regions within the tumour by name, boolean, on the same lattice.

    Raises:
        InputError: If the headers lack what it must refer to.
        OutputError: If the disk refuses.
    """
    with silenced_readers(), convert_reader_errors(lambda: unusable_headers_error(path)):
        found = _structures(mask, frames, origin, inner or {})
    save(path, found)


def _structures(
    mask: Volume, frames: SourceFrames, origin: Origin, inner: Mapping[str, NDArray[np.bool_]]
) -> SOPClass:
    header, content = frames.headers[0], (mask_sha256(mask), *regions_sha256(mask, inner))
    regions = [_Region(1, "Tumour", mask)] + [
        _Region(number, region_title(name), mask.with_data(data))
        for number, (name, data) in enumerate(inner.items(), start=2)
    ]
    found = study_object(
        header,
        sop_class_uid=_CLASS,
        modality="RTSTRUCT",
        sop_instance_uid=origin.uid("structures", frames, *content),
        series_instance_uid=origin.uid("structures series", frames),
        series_number=_SERIES_NUMBER,
        series_description="plgg tumour contours (research use only)",
    )
    found.OperatorsName = ""
    found.StructureSetLabel = "TUMOUR"
    found.StructureSetDescription = "Tumour outlined by plgg, for research use only"
    found.StructureSetDate = found.InstanceCreationDate
    found.StructureSetTime = found.InstanceCreationTime
    found.ApprovalStatus = "UNAPPROVED"
    found.FrameOfReferenceUID = header.FrameOfReferenceUID
    found.PositionReferenceIndicator = ""
    found.ReferencedFrameOfReferenceSequence = [_frame_of_reference(frames)]
    found.StructureSetROISequence = [_described(one, header) for one in regions]
    found.ROIContourSequence = [_contours(one, frames) for one in regions]
    found.RTROIObservationsSequence = [_observation(one) for one in regions]
    return found


def _images(frames: SourceFrames) -> list[Dataset]:
    """References to the images, or the frames of one, in the order of the slices."""
    if frames.frames is None:
        return [reference(header) for header in frames.headers]
    return [reference(frames.headers[0], frame + 1) for frame in frames.frames]


def _frame_of_reference(frames: SourceFrames) -> Dataset:
    """References to the study and to its images, by series."""
    header = frames.headers[0]
    series = defaultdict(list)
    for one in frames.headers:
        series[str(one.SeriesInstanceUID)].append(reference(one))
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = header.StudyInstanceUID
    study.RTReferencedSeriesSequence = []
    for uid, images in series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ContourImageSequence = images
        study.RTReferencedSeriesSequence.append(item)
    found = Dataset()
    found.FrameOfReferenceUID = header.FrameOfReferenceUID
    found.RTReferencedStudySequence = [study]
    return found


def _described(region: _Region, header: Dataset) -> Dataset:
    item = Dataset()
    item.ROINumber = region.number
    item.ReferencedFrameOfReferenceUID = header.FrameOfReferenceUID
    item.ROIName = region.name
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    return item


def _contours(region: _Region, frames: SourceFrames) -> Dataset:
    images = _images(frames)
    found = Dataset()
    found.ReferencedROINumber = region.number
    found.ROIDisplayColor = list(COLOURS[region.number - 1])
    items = [
        _contour(number, points, images[index])
        for number, (index, points) in enumerate(contours(region.mask), start=1)
    ]
    if items:
        found.ContourSequence = items
    return found


def _contour(number: int, points: Points, image: Dataset) -> Dataset:
    item = Dataset()
    item.ContourNumber = number
    item.ContourImageSequence = [image]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(points)
    # A tenth of a micrometre; 0.0 rather than -0.0.
    item.ContourData = [f"{value:.4f}" for value in np.round(points, 4).ravel() + 0.0]
    return item


def _observation(region: _Region) -> Dataset:
    """ROI observation without an interpreted type, since the ROI is not for treatment planning."""
    item = Dataset()
    item.ObservationNumber = region.number
    item.ReferencedROINumber = region.number
    item.RTROIInterpretedType = ""
    item.ROIInterpreter = ""
    return item
