"""`save`: write a DICOM object atomically; `read_own`: read one that plgg wrote."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from plgg.core.errors import InputError
from plgg.core.files import atomic_write
from plgg.core.regular import open_regular
from plgg.data.dicom.limits import LARGEST_VALUE_BYTES, require_parsable, silenced_readers
from plgg.data.dicom.source import unusable_headers_error
from plgg.data.foreign import convert_reader_errors


def save(path: Path, found: Dataset) -> None:
    """Write an object.

    Raises:
        InputError: If a value that was copied from the source cannot be written.
        OutputError: If the disk refuses.
    """
    with silenced_readers(), atomic_write(path) as aside:
        packed = BytesIO()
        with convert_reader_errors(lambda: unusable_headers_error(path)):
            for item in found.get("ContributingEquipmentSequence", []):
                # highdicom sets the current time, which is not when the scanner contributed.
                item.pop("ContributionDateTime", None)
            found.save_as(packed, enforce_file_format=True)
        aside.write_bytes(packed.getvalue())


def read_own(path: Path) -> Dataset:
    """An object that plgg wrote, without its pixels.

    Raises:
        InputError: If it is missing, damaged, or names no study, series or instance.
    """

    def damaged() -> InputError:
        return InputError(
            "cannot be read as the DICOM object that plgg wrote",
            where=path,
            remedy="Predict the scan again.",
        )

    with silenced_readers(), convert_reader_errors(damaged), open_regular(path) as handle:
        require_parsable(handle, path)
        found = pydicom.dcmread(handle, stop_before_pixels=True, defer_size=LARGEST_VALUE_BYTES)
        wanted = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
        if not all(found.get(keyword) for keyword in wanted):
            raise ValueError("no identity")
    return found
