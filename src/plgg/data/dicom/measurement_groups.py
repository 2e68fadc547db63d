"""The groups of a measurement report: volume, labels, diameters, marker, quality.

A volume belongs to its segment (TID 1411); the diameters have points in space, which that
template does not allow, and the rest has no region, so they are groups of TID 1501.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

import plgg
from plgg.data.dicom.codes import gate, marker_class, private_code, unit
from plgg.data.dicom.findings import Findings, gate_statement
from plgg.data.dicom.origin import NAME, UNKNOWN, Origin
from plgg.data.dicom.source import SourceFrames
from plgg.data.result import Diameters, Marker, Point, VolumeInterval

if TYPE_CHECKING:
    from highdicom.sr import (
        AlgorithmIdentification,
        CodeContentItem,
        CodedConcept,
        CoordinatesForMeasurement3D,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        NumContentItem,
        QualitativeEvaluation,
        RelationshipTypeValues,
        TextContentItem,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )
    from pydicom.sr.coding import Code

    Named = CodedConcept | Code

_WITHIN = "Part of the segment Tumour, and its volume part of that one's."
_TO_LPS = np.array([-1.0, -1.0, 1.0])


def volume_group(
    findings: Findings, frames: SourceFrames, segmentation: Dataset, origin: Origin
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Group of the tumour: segment, volume with interval, algorithm, and comments on its use."""
    volume = _volume(findings.volume_ml, findings.volume_interval)
    group = _segment_group(segmentation.SegmentSequence[0], volume, frames, segmentation, origin)
    _comment(group, findings.comments)
    return group


def label_groups(
    findings: Findings, frames: SourceFrames, segmentation: Dataset, origin: Origin
) -> list[VolumetricROIMeasurementsAndQualitativeEvaluations]:
    """A group for each region within the tumour: its segment, and its volume."""
    segments = {int(one.SegmentNumber): one for one in segmentation.SegmentSequence}
    groups = [
        _segment_group(
            segments[one.segment], _volume(one.volume_ml, None), frames, segmentation, origin
        )
        for one in findings.labels
    ]
    for group in groups:
        _comment(group, (_WITHIN,))
    return groups


def _segment_group(
    segment: Dataset,
    volume: Measurement,
    frames: SourceFrames,
    segmentation: Dataset,
    origin: Origin,
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """TID 1411 of one segment of the SEG, with references to its source images."""
    from highdicom.sr import (
        CodedConcept,
        FindingSite,
        ReferencedSegment,
        SourceImageForSegmentation,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )
    from pydicom.sr.codedict import codes

    numbers = None if frames.frames is None else [frame + 1 for frame in frames.frames]
    images = [
        SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID, numbers)
        for header in frames.headers
    ]
    kind = CodedConcept.from_dataset(segment.SegmentedPropertyTypeCodeSequence[0])
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(segment.TrackingUID, segment.TrackingID),
        referenced_segment=ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            int(segment.SegmentNumber),
            source_images=images,
        ),
        finding_category=codes.SCT.MorphologicallyAbnormalStructure,
        finding_type=kind,
        finding_sites=[FindingSite(codes.SCT.Brain)],
        algorithm_id=_algorithm(origin),
        measurements=[volume],
    )


def _comment(
    group: VolumetricROIMeasurementsAndQualitativeEvaluations, comments: Iterable[str]
) -> None:
    from pydicom.sr.codedict import codes

    items = [_text(codes.DCM.Comment, text) for text in comments]
    group[0].ContentSequence.extend(items)


def _algorithm(origin: Origin) -> AlgorithmIdentification:
    from highdicom.sr import AlgorithmIdentification
    from pydicom.sr.codedict import codes

    return AlgorithmIdentification(
        name=NAME,
        version=plgg.__version__,
        parameters=list(origin.parameters) or None,
        family=codes.DCM.ArtificialIntelligence,
    )


def _volume(volume_ml: float, interval: VolumeInterval | None) -> Measurement:
    from pydicom.sr.codedict import codes

    millilitre = unit("mL", "milliliter")
    found = _measurement(codes.SCT.Volume, volume_ml, millilitre)
    if interval is not None:
        plain, patients = codes.UCUM.NoUnits, unit("{patients}", "patients")
        ends = [
            _property(private_code("interval-low"), interval.low_ml, millilitre),
            _property(private_code("interval-high"), interval.high_ml, millilitre),
            _property(private_code("interval-level"), interval.level, plain),
            _property(private_code("interval-cases"), float(interval.n_patients), patients),
        ]
        _add_children(found, ends)
    return found


def _measurement(name: Named, value: float, of: Named, **more: Any) -> Measurement:  # noqa: ANN401
    """A measurement with four decimals as text, and with full precision as a float."""
    from highdicom.sr import Measurement

    found = Measurement(name, float(value), of, **more)
    _shorten(found[0], value)
    return found


def _shorten(item: Dataset, value: float) -> None:
    item.MeasuredValueSequence[0].NumericValue = f"{round(float(value), 4):.10g}"


def _add_children(
    measurement: Measurement, items: list[NumContentItem] | list[CodeContentItem]
) -> None:
    from highdicom.sr import ContentSequence

    root = measurement[0]
    root.ContentSequence = ContentSequence([*root.get("ContentSequence", []), *items])


def _property(name: Named, value: float, of: Named) -> NumContentItem:
    from highdicom.sr import NumContentItem, RelationshipTypeValues

    found = NumContentItem(
        name, float(value), of, relationship_type=RelationshipTypeValues.HAS_PROPERTIES
    )
    _shorten(found, value)
    return found


def diameters_group(
    findings: Findings, frames: SourceFrames, segmentation: Dataset
) -> MeasurementsAndQualitativeEvaluations | None:
    """The diameters with their ends in the patient's space; None without a tumour."""
    from highdicom.sr import MeasurementsAndQualitativeEvaluations, QualitativeEvaluation
    from pydicom.sr.codedict import codes

    found = findings.diameters
    if found is None:
        return None
    method, square = private_code("rapno"), codes.UCUM.SquareMillimeter
    plane = {
        "axial": codes.SCT.Axial,
        "coronal": codes.SCT.Coronal,
        "sagittal": codes.SCT.Sagittal,
    }[found.plane]
    segment = segmentation.SegmentSequence[0]
    frame_of_reference = str(frames.headers[0].FrameOfReferenceUID)
    depth = _measurement(codes.SCT.Depth, found.depth_mm, codes.UCUM.Millimeter, method=method)
    product = _measurement(private_code("product"), found.product_mm2, square, method=method)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(segment.TrackingUID, segment.TrackingID),
        finding_type=codes.SCT.Neoplasm,
        measurements=[*_lines(found, frame_of_reference), depth, product],
        qualitative_evaluations=[QualitativeEvaluation(private_code("plane"), plane)],
    )


def _lines(found: Diameters, frame_of_reference: str) -> list[Measurement]:
    from pydicom.sr.codedict import codes

    a, b, c, d = found.ends_mm
    return [
        _measurement(
            name,
            length,
            codes.UCUM.Millimeter,
            method=private_code("rapno"),
            referenced_coordinates=[_line(ends, frame_of_reference)],
        )
        for name, length, ends in (
            (codes.SCT.LongAxis, found.largest_mm, (a, b)),
            (codes.SCT.ShortAxis, found.perpendicular_mm, (c, d)),
        )
    ]


def _line(ends: tuple[Point, Point], frame_of_reference: str) -> CoordinatesForMeasurement3D:
    from highdicom.sr import CoordinatesForMeasurement3D, GraphicTypeValues3D

    return CoordinatesForMeasurement3D(
        graphic_type=GraphicTypeValues3D.POLYLINE,
        graphic_data=np.array(ends, dtype=np.float64) * _TO_LPS,
        frame_of_reference_uid=frame_of_reference,
    )


def marker_group(
    findings: Findings, frames: SourceFrames, origin: Origin
) -> MeasurementsAndQualitativeEvaluations | None:
    """Group of the marker: its class and all probabilities, or why it is withheld."""
    from highdicom.sr import MeasurementsAndQualitativeEvaluations
    from pydicom.sr.codedict import codes

    marker = findings.marker
    if marker is None:
        return None
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(origin.uid("marker", frames), "Genetic marker"),
        algorithm_id=_algorithm(UNKNOWN),
        measurements=None if marker.withheld else _probabilities(marker),
        qualitative_evaluations=_marker(marker),
    )
    name = private_code("reason") if marker.withheld else codes.DCM.Comment
    group[0].ContentSequence.append(_text(name, marker.statement))
    return group


def _marker(marker: Marker) -> list[QualitativeEvaluation]:
    from highdicom.sr import QualitativeEvaluation
    from pydicom.sr.codedict import codes

    if marker.withheld:
        return [QualitativeEvaluation(private_code("marker"), private_code("withheld"))]
    calibrated = codes.SCT.Yes if marker.calibrated else codes.SCT.No
    return [
        QualitativeEvaluation(private_code("marker"), marker_class(marker.predicted)),
        QualitativeEvaluation(private_code("calibrated"), calibrated),
    ]


def _probabilities(marker: Marker) -> list[Measurement]:
    """One probability for each class, which a concept modifier names."""
    from highdicom.sr import CodeContentItem, RelationshipTypeValues
    from pydicom.sr.codedict import codes

    found = []
    for name in marker.classes:
        value = marker.probabilities[name]
        one = _measurement(codes.DCM.Probability, value, codes.UCUM.NoUnits)
        modifier = CodeContentItem(
            private_code("marker"), marker_class(name), RelationshipTypeValues.HAS_CONCEPT_MOD
        )
        _add_children(one, [modifier])
        found.append(one)
    return found


def quality_group(
    findings: Findings, frames: SourceFrames, origin: Origin
) -> MeasurementsAndQualitativeEvaluations | None:
    """Group of the verdicts of all gates, with their texts."""
    from highdicom.sr import (
        ContentSequence,
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        RelationshipTypeValues,
    )
    from pydicom.sr.codedict import codes

    if not findings.verdicts:
        return None
    said = []
    for verdict in findings.verdicts:
        one = QualitativeEvaluation(gate(verdict.gate), private_code(verdict.status))
        text = _text(
            codes.DCM.Comment, gate_statement(verdict), RelationshipTypeValues.HAS_PROPERTIES
        )
        one[0].ContentSequence = ContentSequence([text])
        said.append(one)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(origin.uid("quality", frames), "Quality of the scan"),
        qualitative_evaluations=said,
    )


def _tracking(uid: str, name: str) -> TrackingIdentifier:
    from highdicom.sr import TrackingIdentifier

    return TrackingIdentifier(uid=uid, identifier=name)


def _text(
    name: Named,
    text: str,
    relation: str | RelationshipTypeValues = "CONTAINS",
) -> TextContentItem:
    from highdicom.sr import TextContentItem

    return TextContentItem(name=name, value=text, relationship_type=relation)
