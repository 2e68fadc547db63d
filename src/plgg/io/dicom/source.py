"""The frames that a scan was read from, as a DICOM object that refers to them needs them.

Besides `plgg.io.dicom.segmentation` the one place where identifiers are kept: a segmentation
belongs into the patient's own study. Headers only, no pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from plgg.errors import InputError
from plgg.io.dicom.find import Opener, dicom_files
from plgg.io.dicom.read import choose_series, discreet
from plgg.volume import Volume, corner_distance_mm

# Attributes that every image should have, if only empty; older files lack some.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate",
    "StudyTime", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, eq=False)
class SourceFrames:
    """Headers and the places of the volume's slices among their frames.

    Attributes:
        headers: One a slice in the volume's order, or a single enhanced one.
        frames: Of an enhanced file, which frame each slice is; None otherwise.
        n_frames: Frames of all headers together.
        shape: Rows and columns.
    """

    headers: tuple[Dataset, ...]
    frames: tuple[int, ...] | None
    n_frames: int
    shape: tuple[int, int]

    def in_frames(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """A mask of shape (columns, rows, slices) as (frames, rows, columns), in their order."""
        slices = mask.transpose(2, 1, 0).astype(np.uint8)
        if self.frames is None:
            return slices
        placed = np.zeros((self.n_frames, *self.shape), dtype=np.uint8)
        placed[list(self.frames)] = slices
        return placed


def source_frames(path: Path, like: Volume) -> SourceFrames:
    """The frames of the series that `read_dicom` reads at a path.

    Args:
        path: A folder, a zip or an enhanced file.
        like: Anything on the grid of that scan.

    Raises:
        InputError: If it cannot be read, or is not the scan that lies on this grid.
    """
    with discreet(), dicom_files(path) as files:
        found = choose_series(files, path)
        rows, columns = found.pictures[0].shape
        shape = (columns, rows, len(found.pictures))
        _refuse_other(shape, found.affine, like, path)
        names = list(dict.fromkeys(picture.file for picture in found.pictures))
        headers = tuple(_header(name, files) for name in names)
    for header in headers:
        if "SliceThickness" not in header:
            header.SliceThickness = float(np.linalg.norm(found.affine[:3, 2]))
    if not any("PerFrameFunctionalGroupsSequence" in header for header in headers):
        return SourceFrames(headers, None, len(headers), (rows, columns))
    if len(headers) > 1:
        raise InputError(
            "a DICOM SEG can refer to one enhanced file, not to several",
            where=path,
            remedy="Use mask.nii.gz.",
        )
    places = tuple(picture.frame for picture in found.pictures)
    return SourceFrames(headers, places, int(headers[0].NumberOfFrames), (rows, columns))


def _refuse_other(
    shape: tuple[int, ...], affine: NDArray[np.float64], like: Volume, path: Path
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


def _header(name: str, files: dict[str, Opener]) -> Dataset:
    with files[name]() as handle:
        header = pydicom.dcmread(handle, stop_before_pixels=True)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = generate_uid(entropy_srcs=[header.SeriesInstanceUID])
    return header
