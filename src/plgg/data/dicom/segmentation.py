"""`write_segmentation`: a mask as DICOM SEG on the frames of the scan that it was drawn on.

Every slice that was read gets a frame of the segmentation, also where nothing is marked, so that
no viewer has to guess which are left out. The patient's and the study's identity are copied from
the source, for that is where the object belongs; nothing else of plgg's output holds them.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import plgg
from plgg.core.files import written_aside
from plgg.core.volume import Volume
from plgg.data.dicom.limits import discreet
from plgg.data.dicom.source import SourceFrames, lacking, source_frames
from plgg.data.foreign import refusing

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription


_SERIES_NUMBER = 900
_NAME = "plgg"
_LABEL = "Tumour"


def write_segmentation(path: Path, mask: Volume, source: Path, sequence: str = "flair") -> None:
    """Write a binary DICOM SEG of one segment.

    Args:
        path: The file.
        mask: Tumour on the grid that `plgg.data.scan.read_scan(source)` gives, boolean.
        source: The folder, zip or enhanced file that the scan was read from.
        sequence: Which of its series was read.

    Raises:
        InputError: If the source is gone, is another scan than the mask's, or lacks what a
            segmentation must refer to.
    """
    frames = source_frames(source, mask, sequence)
    with discreet(), written_aside(path) as aside:
        packed = BytesIO()
        with refusing(lambda: lacking(source)):
            _segmentation(frames, mask).save_as(packed, enforce_file_format=True)
        aside.write_bytes(packed.getvalue())


def _segmentation(frames: SourceFrames, mask: Volume) -> Segmentation:
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    first = frames.headers[0]
    digest = hashlib.sha256(mask.data.tobytes()).hexdigest()
    # The same mask on the same frames is the same object.
    names = [first.SOPInstanceUID, str(frames.frames), plgg.__version__, digest]
    found = Segmentation(
        source_images=list(frames.headers),
        pixel_array=(mask.data > 0).transpose(2, 1, 0).astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(generate_uid(entropy_srcs=[*names, "tracking"]))],
        series_instance_uid=generate_uid(entropy_srcs=[*names, "series"]),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(entropy_srcs=[*names, "instance"]),
        instance_number=1,
        manufacturer=_NAME,
        manufacturer_model_name=_NAME,
        software_versions=plgg.__version__,
        device_serial_number="0",
        content_description="Tumour outlined by plgg, for research use only",
        content_creator_name=f"{_NAME}^",
        content_label="TUMOUR",
        series_description="plgg tumour segmentation (research use only)",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
    )
    if frames.frames is not None:
        _name_frames(found, frames.frames)
    return found


def _name_frames(found: Segmentation, frames: tuple[int, ...]) -> None:
    """Turn references to slices into references to the frames that the file itself has."""
    for group in found.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        source.ReferencedFrameNumber = frames[int(source.ReferencedFrameNumber) - 1] + 1


def _segment(tracking: str) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        segment_number=1,
        segment_label=_LABEL,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=_NAME,
            version=plgg.__version__,
            family=codes.DCM.ArtificialIntelligence,
        ),
        tracking_uid=tracking,
        tracking_id=_LABEL,
        anatomic_regions=[codes.SCT.Brain],
    )
