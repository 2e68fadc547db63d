"""Headers of the frames that a scan was read from, for DICOM objects that refer to them.

Beside these objects, which belong to the patient's own study, only this module keeps identifiers.
It reads headers, no pixels, and keeps only what every object of a study must repeat of people and
places.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from plgg.core.errors import InputError
from plgg.core.volume import Volume, corner_distance_mm
from plgg.data.dicom.find import DicomFiles, dicom_files
from plgg.data.dicom.geometry import place_frames, place_slices
from plgg.data.dicom.limits import LARGEST_VALUE_BYTES, require_parsable, silenced_readers
from plgg.data.dicom.series import choose_series
from plgg.data.dicom.uids import derived_uid
from plgg.data.foreign import convert_reader_errors

# Attributes that every image should have, if only empty; older files lack some.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate",
    "StudyTime", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_WELL_FORMED = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
_SEXES = ("F", "M", "O", "")
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_TOLERANCE_MM = 1e-3

# Attributes that are copied into another object of the study; others on people are left out.
_OF_THE_PATIENT = frozenset(
    ("PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence",
     "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight")
)  # fmt: skip
_GROUPS_OF_PEOPLE = (0x0010, 0x0012, 0x0032, 0x0038)
_PEOPLE_AND_PLACES = (
    "InstitutionName", "InstitutionAddress", "InstitutionCodeSequence", "StationName",
    "InstitutionalDepartmentName", "DeviceSerialNumber", "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence", "NameOfPhysiciansReadingStudy",
    "PhysiciansReadingStudyIdentificationSequence", "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers", "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName", "ConsultingPhysicianIdentificationSequence",
    "PerformingPhysicianName", "OperatorsName", "AdmittingDiagnosesDescription",
    "AcquisitionDateTime", "AcquisitionDate",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SourceFrames:
    """Headers of a volume's slices, on the regular grid of the volume.

    Attributes:
        headers: One a slice in the volume's order; or a single enhanced one, cut down to the
            frames that are the volume's slices, in that order.
        frames: Of an enhanced file, which of its frames each slice is, from 0; None otherwise.
    """

    headers: tuple[Dataset, ...]
    frames: tuple[int, ...] | None


def source_frames(path: Path, like: Volume, sequence: str = "flair") -> SourceFrames:
    """The frames of the series that `read_dicom` reads at a path.

    Args:
        path: A folder, a zip or an enhanced file.
        like: Any volume on the grid of that scan.
        sequence: Which of the series was read.

    Raises:
        InputError: If it cannot be read, is not the scan that lies on this grid, or does not say
            which patient's study it belongs to.
    """
    with silenced_readers(), dicom_files(path) as files:
        found = choose_series(files, sequence=sequence)
        rows, columns = found.pictures[0].shape
        _refuse_other((columns, rows, len(found.pictures)), found.affine, like, path)
        names = list(dict.fromkeys(picture.file for picture in found.pictures))
        with convert_reader_errors(lambda: unusable_headers_error(path)):
            headers = tuple(_header(name, files) for name in names)
            if len({header.SOPInstanceUID for header in headers}) < len(headers):
                raise unusable_headers_error(path)
            if not any("PerFrameFunctionalGroupsSequence" in header for header in headers):
                place_slices(headers, found.affine)
                return SourceFrames(headers, None)
            if len(headers) > 1:
                raise InputError(
                    "lies in several enhanced files, and plgg writes a DICOM SEG of one alone",
                    where=path,
                    remedy="Use mask.nii.gz.",
                )
            frames = tuple(picture.frame for picture in found.pictures)
            place_frames(headers[0], frames, found.affine)
            return SourceFrames(headers, frames)


def unusable_headers_error(path: Path) -> InputError:
    """Error for headers that a segmentation cannot refer to; it quotes no values."""
    return InputError(
        "its headers lack what a DICOM SEG must refer to",
        where=path,
        remedy="Use mask.nii.gz, or export the series again.",
    )


def _refuse_other(
    shape: tuple[int, int, int], affine: NDArray[np.float64], like: Volume, path: Path
) -> None:
    same = shape == like.shape
    if same:
        empty = np.empty(like.shape, dtype=np.bool_)
        same = corner_distance_mm(Volume(empty, affine), like) <= _TOLERANCE_MM
    if not same:
        raise InputError(
            "is no longer the scan that was predicted: its slices lie elsewhere",
            where=path,
            remedy="Predict it again.",
        )


def _header(name: str, files: DicomFiles) -> Dataset:
    with files.openers[name]() as handle:
        require_parsable(handle, files.path)
        header = pydicom.dcmread(handle, stop_before_pixels=True, defer_size=LARGEST_VALUE_BYTES)
    if not all(header.get(keyword) for keyword in _IDENTITY):
        raise unusable_headers_error(files.path)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header or not _is_well_formed(keyword, header[keyword].value):
            setattr(header, keyword, "")
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = derived_uid("frame of reference", header.SeriesInstanceUID)
    _delete_identifying_attributes(header)
    # highdicom takes no code extensions, as of Japanese and Korean names; UTF-8 holds all letters.
    header.decode()
    header.SpecificCharacterSet = "ISO_IR 192"
    return header


def _delete_identifying_attributes(header: Dataset) -> None:
    """Delete attributes on people and places that an object of the study need not repeat."""
    for element in list(header):
        in_group = element.tag.group in _GROUPS_OF_PEOPLE
        if element.keyword in _PEOPLE_AND_PLACES or (
            in_group and element.keyword not in _OF_THE_PATIENT
        ):
            del header[element.tag]


def _is_well_formed(keyword: str, value: object) -> bool:
    if keyword == "PatientSex":
        return (value or "") in _SEXES
    try:
        _WELL_FORMED.get(keyword, str)(value or "")
    except (TypeError, ValueError):
        return False
    return True
