"""`write_structures`: a mask as DICOM RT Structure Set, contours on the images it was drawn on.

Own code: rt-utils, the one library that writes them, leaves out half a voxel all round and fills
holes (docs/adr/0015).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset

from plgg.core.volume import Volume
from plgg.data.dicom.contours import Points, contours
from plgg.data.dicom.limits import discreet
from plgg.data.dicom.origin import Origin
from plgg.data.dicom.segmentation import mask_sha256
from plgg.data.dicom.source import SourceFrames, lacking
from plgg.data.dicom.study_object import reference, study_object
from plgg.data.dicom.write import save
from plgg.data.foreign import refusing

if TYPE_CHECKING:
    from highdicom.base import SOPClass

_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_SERIES_NUMBER = 902
_COLOUR = [255, 61, 240]


def write_structures(path: Path, mask: Volume, *, frames: SourceFrames, origin: Origin) -> None:
    """Write a structure set of one region.

    Args:
        path: The file.
        mask: Tumour on the lattice of the frames, boolean.
        frames: Of the source.
        origin: What made the mask.

    Raises:
        InputError: If the headers lack what it must refer to.
        OutputError: If the disk refuses.
    """
    with discreet(), refusing(lambda: lacking(path)):
        found = _structures(mask, frames, origin)
    save(path, found)


def _structures(mask: Volume, frames: SourceFrames, origin: Origin) -> SOPClass:
    header = frames.headers[0]
    found = study_object(
        header,
        sop_class_uid=_CLASS,
        modality="RTSTRUCT",
        sop_instance_uid=origin.uid("structures", frames, mask_sha256(mask)),
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
    found.StructureSetROISequence = [_region(header)]
    found.ROIContourSequence = [_contours(mask, frames)]
    found.RTROIObservationsSequence = [_observation()]
    return found


def _images(frames: SourceFrames) -> list[Dataset]:
    """References to the images, or the frames of one, in the order of the slices."""
    if frames.frames is None:
        return [reference(header) for header in frames.headers]
    return [reference(frames.headers[0], frame + 1) for frame in frames.frames]


def _frame_of_reference(frames: SourceFrames) -> Dataset:
    """Study, series and images, by the series that they are of."""
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


def _region(header: Dataset) -> Dataset:
    item = Dataset()
    item.ROINumber = 1
    item.ReferencedFrameOfReferenceUID = header.FrameOfReferenceUID
    item.ROIName = "Tumour"
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    return item


def _contours(mask: Volume, frames: SourceFrames) -> Dataset:
    images = _images(frames)
    found = Dataset()
    found.ReferencedROINumber = 1
    found.ROIDisplayColor = _COLOUR
    items = [
        _contour(number, points, images[index])
        for number, (index, points) in enumerate(contours(mask), start=1)
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


def _observation() -> Dataset:
    """What it is for is left open: nobody has planned anything on it."""
    item = Dataset()
    item.ObservationNumber = 1
    item.ReferencedROINumber = 1
    item.RTROIInterpretedType = ""
    item.ROIInterpreter = ""
    return item
