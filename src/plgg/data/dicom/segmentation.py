"""`write_segmentation`: a mask as DICOM SEG on the frames of the scan that it was drawn on.

One segment is the tumour; each region within it, where a model outlines several, is one more. A
binary SEG may hold segments that overlap, so each is whole.

Every slice that was read gets a frame of the segmentation, also where nothing is marked, so that
no viewer has to guess which are left out. The patient's and the study's identity are copied from
the source, for that is where the object belongs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

import plgg
from plgg.core.volume import Volume
from plgg.data.dicom.limits import silenced_readers
from plgg.data.dicom.origin import NAME, UNKNOWN, Origin
from plgg.data.dicom.source import SourceFrames, source_frames, unusable_headers_error
from plgg.data.dicom.write import save
from plgg.data.foreign import convert_reader_errors

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.sr.coding import Code

_SERIES_NUMBER = 900
_LABEL = "Tumour"
_RESEARCH = "for research use only"
_LONGEST_NAME = 60


def write_segmentation(
    path: Path, mask: Volume, source: Path, sequence: str = "flair", origin: Origin = UNKNOWN
) -> None:
    """Write a binary DICOM SEG of one segment.

    Args:
        path: The file.
        mask: Tumour on the grid that `plgg.data.scan.read_scan(source)` gives, boolean.
        source: The folder, zip or enhanced file that the scan was read from.
        sequence: Which of its series was read.
        origin: Provenance of the mask.

    Raises:
        InputError: If the source is missing or another scan than the mask's, or lacks attributes
            that a segmentation refers to.
    """
    frames = source_frames(source, mask, sequence)
    save(path, segmentation(frames, mask, source, origin))


def segmentation(
    frames: SourceFrames,
    mask: Volume,
    source: Path,
    origin: Origin = UNKNOWN,
    base: Dataset | None = None,
    inner: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Segmentation:
    """Make a DICOM SEG of a mask.

    Args:
        frames: Frames of the source scan.
        mask: Tumour on their grid, boolean.
        source: Path of the source, for messages.
        origin: Provenance of the mask.
        base: For a corrected mask, the SEG that was corrected.
        inner: Regions within the tumour by name, boolean, on the same grid.

    Raises:
        InputError: If the headers lack what a segmentation must refer to.
    """
    with silenced_readers(), convert_reader_errors(lambda: unusable_headers_error(source)):
        found = _segmentation(frames, mask, origin, base, inner or {})
        _name_dimensions(found, origin.uid("dimensions", frames))
        if frames.frames is not None:
            _name_frames(found, frames.frames)
        if base is not None:
            _refer_to(found, base, origin)
    return found


def mask_sha256(mask: Volume) -> str:
    """SHA-256 of a mask's voxels, as 0 and 1 in the order of the axes."""
    return hashlib.sha256(np.ascontiguousarray(mask.data > 0).tobytes()).hexdigest()


def _segmentation(
    frames: SourceFrames,
    mask: Volume,
    origin: Origin,
    base: Dataset | None,
    inner: Mapping[str, NDArray[np.bool_]],
) -> Segmentation:
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom.uid import ExplicitVRLittleEndian

    kind, correction = "segmentation", origin.correction
    of_base = () if base is None else (str(base.SOPInstanceUID),)
    series = of_base if correction is None else (*of_base, correction.number, correction.reader)
    # Equal masks have the same UID, different masks never.
    content = (*series, mask_sha256(mask), *regions_sha256(mask, inner))
    what = "outlined by plgg" if correction is None else f"corrected by hand, edit {_of(origin)}"
    return Segmentation(
        source_images=list(frames.headers),
        pixel_array=_pixels(mask, inner),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(frames, origin, base),
            *(_inner_segment(n, name, frames, origin) for n, name in enumerate(inner, start=2)),
        ],
        series_instance_uid=origin.uid(f"{kind} series", frames, *series),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=origin.uid(kind, frames, *content),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=plgg.__version__,
        device_serial_number="0",
        content_description=f"Tumour {what}, {_RESEARCH}",
        content_creator_name=_creator(origin),
        content_label="TUMOUR",
        series_description=f"plgg tumour segmentation{_edit(origin)} (research use only)",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
    )


def regions_sha256(mask: Volume, inner: Mapping[str, NDArray[np.bool_]]) -> tuple[str, ...]:
    """Names of the regions within a mask with the SHA-256 of their voxels, for UIDs."""
    hashes = (mask_sha256(mask.with_data(region)) for region in inner.values())
    return tuple(f"{name} {digest}" for name, digest in zip(inner, hashes, strict=True))


def _pixels(mask: Volume, inner: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Frames of the tumour alone, or with a last axis for several segments."""
    regions = [mask.data > 0, *inner.values()]
    planes = [region.transpose(2, 1, 0).astype(np.uint8) for region in regions]
    return planes[0] if not inner else np.stack(planes, axis=-1)


def _of(origin: Origin) -> str:
    return str(origin.correction.number) if origin.correction else ""


def _edit(origin: Origin) -> str:
    return f", edit {_of(origin)}" if origin.correction else ""


def _creator(origin: Origin) -> str:
    reader = origin.correction.reader if origin.correction else None
    # Without the delimiters of a DICOM person name, and no longer than a component of it may be.
    plain = "".join(
        letter for letter in reader or "" if letter not in "\\^=" and letter.isprintable()
    )
    return f"{plain.strip()[:_LONGEST_NAME] or NAME}^"


def _name_dimensions(found: Segmentation, uid: str) -> None:
    """Set a deterministic UID of the dimension organisation."""
    for item in (*found.DimensionOrganizationSequence, *found.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _name_frames(found: Segmentation, frames: tuple[int, ...]) -> None:
    """Replace slice numbers in references by the frame numbers of the source file."""
    for group in found.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        source.ReferencedFrameNumber = frames[int(source.ReferencedFrameNumber) - 1] + 1


def _segment(frames: SourceFrames, origin: Origin, base: Dataset | None) -> SegmentDescription:
    from pydicom.sr.codedict import codes

    tracking = _tracking(base) or origin.uid("tumour", frames)
    return _description(1, _LABEL, codes.SCT.Neoplasm, tracking, origin)


def _inner_segment(
    number: int, name: str, frames: SourceFrames, origin: Origin
) -> SegmentDescription:
    """Segment of a region within the tumour, with a standard code where its name has one."""
    tracking = origin.uid(f"region {name}", frames)
    return _description(number, region_title(name), _property(name), tracking, origin)


def region_title(name: str) -> str:
    """Title of a label within the tumour, always different from that of the whole tumour.

    >>> region_title("solid_part"), region_title("tumour")
    ('Solid part', 'Tumour (inner label)')
    """
    title = name.replace("_", " ").capitalize()
    return f"{title} (inner label)" if title == _LABEL else title


def _property(name: str) -> Code:
    """SNOMED CT code of a region by its name; neoplasm for other names."""
    from pydicom.sr.codedict import codes

    known = {
        "cyst": codes.SCT.Cyst,
        "oedema": codes.SCT.Edema,
        "edema": codes.SCT.Edema,
        "necrosis": codes.SCT.Necrosis,
    }
    found: Code = known.get(name, codes.SCT.Neoplasm)
    return found


def _description(
    number: int, label: str, kind: Code, tracking_uid: str, origin: Origin
) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    types = SegmentAlgorithmTypeValues
    return SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=kind,
        algorithm_type=types.SEMIAUTOMATIC if origin.correction else types.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=NAME,
            version=plgg.__version__,
            family=codes.DCM.ArtificialIntelligence,
            parameters=_parameters(origin),
        ),
        tracking_uid=tracking_uid,
        tracking_id=label,
        anatomic_regions=[codes.SCT.Brain],
    )


def _parameters(origin: Origin) -> dict[str, str] | None:
    """Parameters of the algorithm, one for each model: one text holds at most 10 240 characters."""
    named = {f"model {n}": model for n, model in enumerate(origin.models, start=1)}
    return {**named, "settings": origin.settings} if named else None


def _tracking(base: Dataset | None) -> str | None:
    """Tracking UID of the tumour in the SEG that was corrected; None if there is none."""
    segments = base.get("SegmentSequence") if base is not None else None
    return str(segments[0].get("TrackingUID") or "") or None if segments else None


def _refer_to(found: Segmentation, base: Dataset, origin: Origin) -> None:
    """Refer from a corrected mask to the original SEG (General Reference, Common Instance)."""
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    def reference() -> Any:  # noqa: ANN401 - an item
        item = Dataset()
        item.ReferencedSOPClassUID = base.SOPClassUID
        item.ReferencedSOPInstanceUID = base.SOPInstanceUID
        return item

    source = reference()
    source.PurposeOfReferenceCodeSequence = [
        CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    found.SourceImageSequence = [source]
    found.DerivationDescription = f"Edit {_of(origin)}: outline corrected by hand"
    found.DerivationCodeSequence = [CodedConcept.from_code(codes.DCM.SegmentationImageDerivation)]
    series = Dataset()
    series.SeriesInstanceUID = base.SeriesInstanceUID
    series.ReferencedInstanceSequence = [reference()]
    found.ReferencedSeriesSequence = [*found.get("ReferencedSeriesSequence", []), series]
