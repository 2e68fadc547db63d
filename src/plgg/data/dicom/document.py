"""`write_document`: the report as a PDF inside a DICOM object (Encapsulated PDF Storage)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from plgg.data.dicom.limits import silenced_readers
from plgg.data.dicom.origin import Origin
from plgg.data.dicom.source import SourceFrames, unusable_headers_error
from plgg.data.dicom.study_object import reference, study_object
from plgg.data.dicom.write import save
from plgg.data.foreign import convert_reader_errors

if TYPE_CHECKING:
    from highdicom.base import SOPClass

_CLASS = "1.2.840.10008.5.1.4.1.1.104.1"
_SERIES_NUMBER = 903
TITLE = "plgg report (research use only)"


def write_document(
    path: Path, pdf: bytes, *, frames: SourceFrames, segmentation: Dataset, origin: Origin
) -> None:
    """Write a PDF as an object of the study.

    Args:
        path: The file.
        pdf: The document; it names no patient.
        frames: Frames of the source scan.
        segmentation: The SEG that it shows.
        origin: Provenance of the SEG.

    Raises:
        InputError: If the headers lack what it must refer to.
        OutputError: If the disk refuses.
    """
    with silenced_readers(), convert_reader_errors(lambda: unusable_headers_error(path)):
        found = _document(pdf, frames, segmentation, origin)
    save(path, found)


def _document(pdf: bytes, frames: SourceFrames, segmentation: Dataset, origin: Origin) -> SOPClass:
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    found = study_object(
        frames.headers[0],
        sop_class_uid=_CLASS,
        modality="DOC",
        sop_instance_uid=origin.uid("document", frames, hashlib.sha256(pdf).hexdigest()),
        series_instance_uid=origin.uid("document series", frames),
        series_number=_SERIES_NUMBER,
        series_description=TITLE,
    )
    found.ConversionType = "WSD"
    found.AcquisitionDateTime = ""
    found.BurnedInAnnotation = "NO"
    found.SourceInstanceSequence = [reference(one) for one in (*frames.headers, segmentation)]
    found.DocumentTitle = TITLE
    found.ConceptNameCodeSequence = [CodedConcept.from_code(codes.DCM.ImagingMeasurementReport)]
    found.VerificationFlag = "UNVERIFIED"
    found.MIMETypeOfEncapsulatedDocument = "application/pdf"
    found.EncapsulatedDocumentLength = len(pdf)
    found.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return found
