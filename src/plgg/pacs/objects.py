"""SOP classes that are accepted from a PACS, and a check of each object before it is stored."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from plgg.core.errors import InputError
from plgg.data.budget import require_affordable_file
from plgg.data.dicom.limits import require_parsable, silenced_readers
from plgg.data.foreign import convert_reader_errors
from plgg.pacs.errors import PacsError
from plgg.pacs.records import Instance, is_uid

IMAGES = (
    "1.2.840.10008.5.1.4.1.1.4",  # MR image
    "1.2.840.10008.5.1.4.1.1.4.1",  # enhanced MR image
    "1.2.840.10008.5.1.4.1.1.4.4",  # legacy converted enhanced MR image
)
"""SOP classes that a listener accepts: the scans that plgg can predict."""

FETCHED = (
    *IMAGES,
    "1.2.840.10008.5.1.4.1.1.66.4",  # segmentation
    "1.2.840.10008.5.1.4.1.1.88.11",  # basic text SR
    "1.2.840.10008.5.1.4.1.1.88.22",  # enhanced SR
    "1.2.840.10008.5.1.4.1.1.88.33",  # comprehensive SR
    "1.2.840.10008.5.1.4.1.1.88.34",  # comprehensive 3D SR
    "1.2.840.10008.5.1.4.1.1.481.3",  # RT structure set
    "1.2.840.10008.5.1.4.1.1.104.1",  # encapsulated PDF
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
    "1.2.840.10008.5.1.4.1.1.2",  # CT image
    "1.2.840.10008.5.1.4.1.1.11.1",  # presentation state
)
"""SOP classes for C-GET, which must propose them beforehand."""

PLAIN_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
TRANSFER_SYNTAXES = (
    DeflatedExplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEG2000,
    RLELossless,
)
_ASKED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def read_instance_uids(path: Path) -> Instance:
    """The UIDs and the SOP class of a file, from its header.

    Raises:
        PlggError: If it is no DICOM file, lacks a UID, or would take too much memory to read.
    """
    with convert_reader_errors(_unreadable), silenced_readers(), path.open("rb") as handle:
        require_affordable_file(path.stat().st_size, "the object")
        require_parsable(handle, Path("the object"))
        header = pydicom.dcmread(
            handle, stop_before_pixels=True, specific_tags=[*_ASKED], defer_size=2**20
        )
        study, series, uid, sop_class = (str(header.get(name, "")) for name in _ASKED)
    if not all(map(is_uid, (study, series, uid, sop_class))):
        raise _not_usable("is an object that does not say what it is")
    return Instance(study, series, uid, sop_class)


def require_requested_object(path: Path, asked: Instance) -> None:
    """Check that a file holds the requested object.

    Raises:
        PlggError: If it is another object, or none.
    """
    found = read_instance_uids(path)
    if (found.study, found.series, found.uid) != (asked.study, asked.series, asked.uid):
        raise _not_usable("is another object than was asked for")


def _unreadable() -> InputError:
    return InputError(
        "is no DICOM that can be read",
        where="the object",
        remedy="Look at the server's log.",
    )


def _not_usable(what: str) -> PacsError:
    return PacsError(f"what it sent {what}", where="the PACS", remedy="Look at its log.")
