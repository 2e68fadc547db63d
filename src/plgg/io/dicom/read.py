"""`read_dicom`: a folder, zip or enhanced file of DICOM to one `Volume`, with nothing of who it is.

The one place of this package that opens pixels. No name, identifier, date or unique identifier
leaves it: not in what is returned, not in errors, not through the reader's own warnings.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import config
from pydicom.errors import BytesLengthException, InvalidDicomError

from plgg.errors import InputError
from plgg.io.dicom.choose import choose_stack
from plgg.io.dicom.decode import stored_values
from plgg.io.dicom.find import Opener, dicom_files, file_label
from plgg.io.dicom.lattice import lattice
from plgg.io.dicom.picture import Picture, read_pictures
from plgg.io.dicom.stack import Stack, stacks_of
from plgg.volume import Affine, Volume

_UNREADABLE = (
    InvalidDicomError, BytesLengthException, OSError, EOFError, ValueError, TypeError, KeyError,
    IndexError, AttributeError, OverflowError, MemoryError, RuntimeError, StopIteration,
    struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class DicomScan:
    """One scan and what may be said of it.

    Attributes:
        volume: float32, rescaled, RAS+ in mm.
        files: Relative names of the source files (or zip members) in the order of the volume's
            last axis; an enhanced file that holds many slices is named once.
        series: Short description that identifies no one.
        why: Why this series was chosen, in one clause.
        age_years: Age at the scan, where the header says.
        sex: `F` or `M`, where the header says.
    """

    volume: Volume
    files: tuple[str, ...]
    series: str
    why: str
    age_years: float | None
    sex: str | None


def read_dicom(path: Path, *, series: int | None = None) -> DicomScan:
    """Read the FLAIR among the DICOM files at a path.

    Args:
        path: A folder (searched to the bottom), a zip, or one enhanced multi-frame file.
        series: SeriesNumber to read instead of what the headers would choose.

    Raises:
        InputError: If there is no DICOM, a file is damaged, the FLAIR cannot be told, or the
            slices do not make one regular, upright stack.
    """
    with discreet(), dicom_files(path) as files:
        found = choose_series(files, path, series=series)
        data = _pixels(list(found.pictures), files, path)
    return DicomScan(
        volume=Volume(data, found.affine),
        files=tuple(dict.fromkeys(picture.file for picture in found.pictures)),
        series=found.stack.describe(),
        why=found.why,
        age_years=found.stack.first.age_years,
        sex=found.stack.first.sex,
    )


@dataclass(frozen=True, eq=False)
class ChosenSeries:
    """The series that is read, before its pixels are.

    Attributes:
        stack: All of it.
        why: Why this one, in one clause.
        pictures: Its slices in the order of the volume's last axis.
        affine: Of the volume, voxel to world, RAS+ in mm.
    """

    stack: Stack
    why: str
    pictures: tuple[Picture, ...]
    affine: Affine


def choose_series(
    files: dict[str, Opener], path: Path, *, series: int | None = None
) -> ChosenSeries:
    """The FLAIR among DICOM files, by their headers alone; the same at every call.

    Raises:
        InputError: As `read_dicom`.
    """
    stack, why = choose_stack(_stacks(files, path), series=series, path=path)
    _refuse_unusable(stack, path)
    order, affine = lattice(stack.pictures, path)
    return ChosenSeries(stack, why, tuple(stack.pictures[index] for index in order), affine)


@contextmanager
def discreet() -> Iterator[None]:
    """Silence the readers, whose warnings and log lines quote the values they are about."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels, mode = [logger.level for logger in loggers], config.settings.reading_validation_mode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        config.settings.reading_validation_mode = config.IGNORE
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            config.settings.reading_validation_mode = mode


def _stacks(files: dict[str, Opener], path: Path) -> list[Stack]:
    """All stacks of images; objects that are no images, such as reports, are passed over."""
    pictures: list[Picture] = []
    for name, opener in files.items():
        try:
            with opener() as handle:
                found = read_pictures(name, handle)
        except _UNREADABLE:
            raise _damaged(name, files, path) from None
        if found[0].mr and (not found[0].pixels or 0 in found[0].shape):
            raise InputError(
                f"{file_label(name, list(files))} ends before its pixels: cut short, or without"
                " an image",
                where=path,
                remedy="Copy or export it again.",
            )
        pictures += [picture for picture in found if picture.pixels]
    if not pictures:
        raise InputError("holds no DICOM image", where=path, remedy="Export the images too.")
    return stacks_of(pictures)


def _damaged(name: str, files: dict[str, Opener], path: Path) -> InputError:
    return InputError(
        f"{file_label(name, list(files))} is damaged: its header cannot be read",
        where=path,
        remedy="Copy or export it again.",
    )


def _refuse_unusable(stack: Stack, path: Path) -> None:
    first = stack.first
    what = None
    if first.modality != "MR":
        what = "is not an MR scan"
    elif any("MOSAIC" in picture.image_type for picture in stack.pictures):
        what = "holds mosaics: many slices tiled into one image"
    elif any(picture.colour for picture in stack.pictures):
        what = "holds colour or inverted images, not plain grey values"
    if what:
        raise InputError(
            f"{what} ({stack.describe()})", where=path, remedy="Name the original FLAIR series."
        )


def _pixels(pictures: list[Picture], files: dict[str, Opener], path: Path) -> NDArray[np.float32]:
    """Values of shape (columns, rows, slices), each slice rescaled by its own header."""
    data = np.empty((len(pictures), *pictures[0].shape), np.float32)
    places: dict[str, list[int]] = {}
    for index, picture in enumerate(pictures):
        places.setdefault(picture.file, []).append(index)
    for name, indices in places.items():
        frames = _frames(name, files, path)
        for index in indices:
            picture = pictures[index]
            if frames.shape[1:] != picture.shape or picture.frame >= len(frames):
                raise _undecoded(name, files, path)
            data[index] = frames[picture.frame] * picture.slope + picture.intercept
    return data.transpose(2, 1, 0)


def _frames(name: str, files: dict[str, Opener], path: Path) -> NDArray[Any]:
    """Stored values of one file, shape (frames, rows, columns), float64."""
    try:
        with files[name]() as handle:
            stored = stored_values(pydicom.dcmread(handle))
    except _UNREADABLE:
        raise _undecoded(name, files, path) from None
    return np.asarray(stored, dtype=np.float64)


def _undecoded(name: str, files: dict[str, Opener], path: Path) -> InputError:
    return InputError(
        f"the pixels of {file_label(name, list(files))} cannot be decoded: cut short, damaged or"
        " compressed in an unknown way",
        where=path,
        remedy="Copy it again, or export it without compression.",
    )
