"""`write_measurements`: write measurements as a DICOM SR, template TID 1500, beside the SEG.

A Comprehensive 3D SR, because the ends of the diameters are points in the patient's space
(SCOORD3D), which an Enhanced SR cannot hold. The groups of it are in `measurement_groups`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

import plgg
from plgg.data.dicom.codes import scheme
from plgg.data.dicom.findings import Findings
from plgg.data.dicom.limits import silenced_readers
from plgg.data.dicom.measurement_groups import (
    diameters_group,
    label_groups,
    marker_group,
    quality_group,
    volume_group,
)
from plgg.data.dicom.origin import NAME, Origin
from plgg.data.dicom.source import SourceFrames, unusable_headers_error
from plgg.data.dicom.write import save
from plgg.data.foreign import convert_reader_errors

if TYPE_CHECKING:
    from highdicom.sr import Comprehensive3DSR, MeasurementReport, ObservationContext

_SERIES_NUMBER = 901


def write_measurements(
    path: Path,
    findings: Findings,
    *,
    frames: SourceFrames,
    segmentation: Dataset,
    origin: Origin,
    previous: Dataset | None = None,
) -> None:
    """Write the measurement report of one segmentation.

    Args:
        path: The file.
        findings: What was measured.
        frames: The source, as the segmentation refers to it.
        segmentation: The SEG that the numbers are of.
        origin: What made it.
        previous: Of a corrected mask, the report that this one follows.

    Raises:
        InputError: If the headers lack what a report must refer to.
        OutputError: If the disk refuses.
    """
    with silenced_readers(), convert_reader_errors(lambda: unusable_headers_error(path)):
        found = _report(findings, frames, segmentation, origin, previous)
    save(path, found)


def _report(
    findings: Findings,
    frames: SourceFrames,
    segmentation: Dataset,
    origin: Origin,
    previous: Dataset | None,
) -> Comprehensive3DSR:
    from highdicom.sr import Comprehensive3DSR

    edit = origin.correction
    content = [str(segmentation.SOPInstanceUID), findings.sha256]
    if previous is not None:
        content.append(str(previous.SOPInstanceUID))
    series = (edit.number, str(segmentation.SeriesInstanceUID)) if edit else ()
    found = Comprehensive3DSR(
        evidence=[*frames.headers, segmentation],
        content=_content(findings, frames, segmentation, origin)[0],
        series_instance_uid=origin.uid("measurements series", frames, *series),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=origin.uid("measurements", frames, *content),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=plgg.__version__,
        device_serial_number="0",
        is_complete=True,
        previous_versions=None if previous is None else [previous],
        series_description=_title(origin),
    )
    found.CodingSchemeIdentificationSequence = [scheme()]
    return found


def _title(origin: Origin) -> str:
    edit = f", edit {origin.correction.number}" if origin.correction else ""
    return f"plgg measurements{edit} (research use only)"


def _content(
    findings: Findings, frames: SourceFrames, segmentation: Dataset, origin: Origin
) -> MeasurementReport:
    from highdicom.sr import MeasurementReport
    from pydicom.sr.codedict import codes

    groups = [
        volume_group(findings, frames, segmentation, origin),
        *label_groups(findings, frames, segmentation, origin),
        diameters_group(findings, frames, segmentation),
        marker_group(findings, frames, origin),
        quality_group(findings, frames, origin),
    ]
    return MeasurementReport(
        observation_context=_context(origin),
        procedure_reported=codes.LN.BrainMRI,
        imaging_measurements=[group for group in groups if group is not None],
        title=codes.DCM.ImagingMeasurementReport,
    )


def _context(origin: Origin) -> ObservationContext:
    """The observer: the program, even if a person has corrected the outline that it measured."""
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=origin.device_uid,
                name=NAME,
                manufacturer_name=NAME,
                model_name=f"{NAME} {plgg.__version__}",
            ),
        )
    )
