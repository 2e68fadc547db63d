"""`read_dicom`: read a folder, zip or enhanced file of DICOM into one anonymous `Volume`.

This is the only module of the package that reads pixels. No name, identifier, date or UID leaves
it, neither in results nor in errors or warnings of the reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.budget import require_affordable
from plgg.data.dicom.decode import clear_padding, encoding_fault, is_padding, stored_values
from plgg.data.dicom.find import DicomFiles, dicom_files
from plgg.data.dicom.frame import Picture
from plgg.data.dicom.limits import require_parsable, silenced_readers
from plgg.data.dicom.series import ChosenSeries, choose_series
from plgg.data.foreign import convert_reader_errors


@dataclass(frozen=True, eq=False)
class DicomScan:
    """One scan, with information from its header that identifies no one.

    Attributes:
        volume: float32, rescaled, RAS+ in mm.
        files: Relative names of the source files (or zip members) in the order of the volume's
            last axis; an enhanced file that holds many slices is named once.
        series: Short description that identifies no one.
        why: Why this series was chosen, in one clause.
        doubts: Warnings about its headers, such as that it is no FLAIR; one clause each.
        age_years: Age at the scan, where the header says.
        sex: `F` or `M`, where the header says.
    """

    volume: Volume
    files: tuple[str, ...]
    series: str
    why: str
    doubts: tuple[str, ...]
    age_years: float | None
    sex: str | None


def read_dicom(path: Path, *, series: int | None = None, sequence: str = "flair") -> DicomScan:
    """Read the FLAIR, or another sequence, among the DICOM files at a path.

    Args:
        path: A folder (searched to the bottom), a zip, or one enhanced multi-frame file.
        series: SeriesNumber to read instead of what the headers would choose.
        sequence: What is looked for, as in `plgg.config.SEQUENCES`.

    Raises:
        InputError: If there is no DICOM, a file is damaged, the FLAIR is ambiguous, the slices are
            not one regular stack without tilt, or it would take too much memory.
    """
    with silenced_readers(), dicom_files(path) as files:
        found = choose_series(files, series=series, sequence=sequence)
        data = _pixels(found, files)
    return DicomScan(
        volume=Volume(data, found.affine),
        files=tuple(dict.fromkeys(picture.file for picture in found.pictures)),
        series=found.stack.describe(),
        why=found.why,
        doubts=found.doubts,
        age_years=found.stack.first.age_years,
        sex=found.stack.first.sex,
    )


def _pixels(found: ChosenSeries, files: DicomFiles) -> NDArray[np.float32]:
    """Values of shape (columns, rows, slices), each slice rescaled by its own header."""
    pictures = found.pictures
    data = np.empty((len(pictures), *pictures[0].shape), np.float32)
    padded = np.zeros(data.shape, np.bool_) if any(one.padding for one in pictures) else None
    places: dict[str, list[int]] = {}
    for index, picture in enumerate(pictures):
        places.setdefault(picture.file, []).append(index)
    for name, indices in places.items():
        frames = _frames(name, files)
        for index in indices:
            frame = _frame(frames, pictures[index], files)
            data[index] = _rescaled(frame, pictures[index])
            if padded is not None:
                padded[index] = is_padding(frame, pictures[index].padding)
        kept = [pictures[index] for index in indices]
        _refuse_other_copies(frames, kept, found.copies.get(name, []), files)
    if padded is not None:
        clear_padding(data, padded)
    return data.transpose(2, 1, 0)


def _rescaled(frame: NDArray[Any], picture: Picture) -> NDArray[np.float64]:
    return frame.astype(np.float64) * picture.slope + picture.intercept


def _frame(frames: NDArray[Any], picture: Picture, files: DicomFiles) -> NDArray[Any]:
    if frames.shape[1:] != picture.shape or picture.frame >= len(frames):
        raise _undecoded(picture.file, files)
    return np.asarray(frames[picture.frame])


def _frames(name: str, files: DicomFiles) -> NDArray[Any]:
    """Stored values of one file, shape (frames, rows, columns)."""
    with files.openers[name]() as handle, convert_reader_errors(lambda: _undecoded(name, files)):
        length = handle.seek(0, 2)
        require_affordable((length,), 1, where=files.path)
        require_parsable(handle, files.path)
        dataset = pydicom.dcmread(handle)
        fault = encoding_fault(dataset)
        if fault:
            raise InputError(
                f"{files.label(name)} {fault}",
                where=files.path,
                remedy="Export it again, in another way.",
            )
        return stored_values(dataset)


def _undecoded(name: str, files: DicomFiles) -> InputError:
    return InputError(
        f"the pixels of {files.label(name)} cannot be decoded: cut short, damaged or compressed in"
        " an unknown way",
        where=files.path,
        remedy="Copy it again, or export it without compression.",
    )


def _refuse_other_copies(
    frames: NDArray[Any], kept: list[Picture], copies: list[Picture], files: DicomFiles
) -> None:
    """Refuse files that have the SOP instance UID of a file that was read, but other pixels.

    Args:
        frames: Stored values of that file.
        kept: Slices of that file that were read.
        copies: Their duplicates in other files, grouped by file.
        files: All DICOM files.

    Raises:
        InputError: If the pixels of one differ.
    """
    by_frame = {picture.frame: picture for picture in kept}
    decoded: dict[str, NDArray[Any]] = {}
    for copy in copies:
        if copy.file not in decoded:
            decoded = {copy.file: _frames(copy.file, files)}
        theirs = _rescaled(_frame(decoded[copy.file], copy, files), copy)
        mine = _rescaled(_frame(frames, by_frame[copy.frame], files), by_frame[copy.frame])
        if not np.array_equal(mine, theirs):
            raise InputError(
                f"{files.label(kept[0].file)} and {files.label(copy.file)} have one identifier"
                " (SOP instance UID), but not the same pixels",
                where=files.path,
                remedy="Export the series again, or keep the files that are meant.",
            )
