"""`study_object`: modules common to all objects of a study, for SOP classes that highdicom lacks.

highdicom has classes for SEG and SR; a structure set and an encapsulated document are built on the
same base by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

import plgg
from plgg.data.dicom.origin import NAME

if TYPE_CHECKING:
    from highdicom.base import SOPClass


def study_object(header: Dataset, **more: Any) -> SOPClass:  # noqa: ANN401 - as SOPClass takes it
    """A new object in the study of an image, with the program as its equipment.

    Args:
        header: Of an image of that study, from `source_frames`.
        more: Class, instance, series and what else `highdicom.base.SOPClass` wants.
    """
    from highdicom.base import SOPClass
    from pydicom.uid import ExplicitVRLittleEndian

    found = SOPClass(
        study_instance_uid=header.StudyInstanceUID,
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=plgg.__version__,
        device_serial_number="0",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate,
        study_time=header.StudyTime,
        referring_physician_name=header.ReferringPhysicianName,
        specific_character_set="ISO_IR 192",
        **more,
    )
    found.copy_patient_and_study_information(header)
    return found


def reference(target: Dataset, frame: int | None = None) -> Dataset:
    """A reference to an instance, and to a frame of it from 1."""
    item = Dataset()
    item.ReferencedSOPClassUID = target.SOPClassUID
    item.ReferencedSOPInstanceUID = target.SOPInstanceUID
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item
