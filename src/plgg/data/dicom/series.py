"""`choose_series`: find the FLAIR among DICOM files by their headers, as one sorted stack."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plgg.config import SEQUENCES
from plgg.core.errors import InputError
from plgg.core.volume import Affine
from plgg.data.budget import require_affordable
from plgg.data.dicom.choose import choose_stack, doubts_of
from plgg.data.dicom.find import DicomFiles, dicom_files
from plgg.data.dicom.frame import Picture, read_pictures
from plgg.data.dicom.geometry import fit_regular_grid
from plgg.data.dicom.limits import require_parsable, silenced_readers
from plgg.data.dicom.stack import Stack, stacks_of
from plgg.data.foreign import convert_reader_errors

_VOXEL_BYTES, _STORED_BYTES = 4, 2


@dataclass(frozen=True, eq=False)
class ChosenSeries:
    """The chosen series, before its pixels are read.

    Attributes:
        stack: The stack of its slices.
        why: Why this one, in one clause.
        doubts: Reasons to doubt that it is the FLAIR, or complete; one clause each.
        pictures: Its slices in the order of the volume's last axis.
        copies: Duplicates of its slices in other files, by name of the file that is kept.
        affine: Of the volume, voxel to world, RAS+ in mm.
    """

    stack: Stack
    why: str
    doubts: tuple[str, ...]
    pictures: tuple[Picture, ...]
    copies: dict[str, list[Picture]]
    affine: Affine


def choose_series(
    files: DicomFiles, *, series: int | None = None, sequence: str = "flair"
) -> ChosenSeries:
    """Choose the FLAIR, or another sequence, among DICOM files by their headers only.

    The choice is deterministic.

    Raises:
        InputError: As `read_dicom`.
    """
    pictures, copies = _without_copies(_pictures(files))
    stack, why = choose_stack(
        stacks_of(pictures), series=series, path=files.path, sequence=sequence
    )
    _refuse_unusable(stack, files)
    _require_affordable(stack, files)
    series_pictures = [one for one in pictures if one.series == stack.first.series and one.mr]
    _refuse_incomplete(stack, series_pictures, files)
    order, affine = fit_regular_grid(stack.pictures, files.path)
    read = {(picture.file, picture.frame) for picture in stack.pictures}
    mine = {
        name: [copy for copy in found if (name, copy.frame) in read]
        for name, found in copies.items()
    }
    n_copies = len({one.file for found in mine.values() for one in found})
    if n_copies:
        why += "; 1 copy" if n_copies == 1 else f"; {n_copies} copies"
        why += " of its files, alike in every pixel, passed over"
    return ChosenSeries(
        stack,
        why,
        (*files.doubts, *doubts_of(stack, sequence, series_pictures)),
        tuple(stack.pictures[index] for index in order),
        mine,
        affine,
    )


def available_sequences(path: Path) -> frozenset[str]:
    """Sequences of `plgg.config.SEQUENCES` that occur at a path, by the headers of its series.

    Raises:
        InputError: If the files cannot be read.
    """
    with silenced_readers(), dicom_files(path) as files:
        pictures, _ = _without_copies(_pictures(files))
        stacks = stacks_of(pictures)
    return frozenset(name for name in SEQUENCES if any(stack.is_of(name) for stack in stacks))


def _pictures(files: DicomFiles) -> list[Picture]:
    """All images; objects that are none, such as reports, are passed over."""
    pictures: list[Picture] = []
    for name, handle in files.opened():
        with convert_reader_errors(lambda name=name: _damaged(name, files)):  # type: ignore[misc]
            deflated = require_parsable(handle, files.path)
            found = read_pictures(name, handle, deflated=deflated)
        if found[0].mr and (not found[0].pixels or 0 in found[0].shape):
            raise InputError(
                f"{files.label(name)} ends before its pixels: cut short, or without an image",
                where=files.path,
                remedy="Copy or export it again.",
            )
        pictures += [picture for picture in found if picture.pixels]
    if not pictures:
        raise InputError("holds no DICOM image", where=files.path, remedy="Export the images too.")
    return pictures


def _damaged(name: str, files: DicomFiles) -> InputError:
    return InputError(
        f"{files.label(name)} is damaged: its header cannot be read",
        where=files.path,
        remedy="Copy or export it again.",
    )


def _without_copies(pictures: list[Picture]) -> tuple[list[Picture], dict[str, list[Picture]]]:
    """Remove duplicates of slices, and return them by name of the file that is kept."""
    first: dict[Hashable, Picture] = {}
    copies: dict[str, list[Picture]] = {}
    for picture in pictures:
        key = _identity(picture) if picture.instance else id(picture)
        kept = first.setdefault(key, picture)
        if kept is not picture:
            copies.setdefault(kept.file, []).append(picture)
    return list(first.values()), copies


def _identity(picture: Picture) -> Hashable:
    """Key of an image and its copies, with the position: some tools give all files one UID."""
    return (picture.instance, picture.series, picture.frame, picture.place, picture.echo_ms)


def _refuse_unusable(stack: Stack, files: DicomFiles) -> None:
    what = None
    scales = np.array([(one.slope, one.intercept) for one in stack.pictures])
    if stack.first.modality != "MR":
        what = "is not an MR scan"
    elif any("MOSAIC" in picture.image_type for picture in stack.pictures):
        what = "holds mosaics: many slices tiled into one image"
    elif colour := next((one.colour for one in stack.pictures if one.colour), None):
        what = f"holds {colour}, not plain grey values"
    elif not np.isfinite(scales).all() or 0 in scales[:, 0]:
        what = "has headers that rescale its values by 0 or by what is no number"
    if what:
        raise InputError(
            f"{what} ({stack.describe()})",
            where=files.path,
            remedy="Name the original FLAIR series; a mask is to be a NIfTI file.",
        )


def _refuse_incomplete(stack: Stack, series: list[Picture], files: DicomFiles) -> None:
    """Refuse an enhanced image in several files of which one is not there."""
    wanted = {one.concatenation.uid for one in stack.pictures if one.concatenation}
    parts = {one.concatenation for one in series if one.concatenation}
    for uid in wanted:
        there = {part.number for part in parts if part.uid == uid}
        total = max(part.total or 0 for part in parts if part.uid == uid)
        if len(there) < total:
            raise InputError(
                f"holds {len(there)} of the {total} files of an image ({stack.describe()})",
                where=files.path,
                remedy="Export the whole series again.",
            )


def _require_affordable(stack: Stack, files: DicomFiles) -> None:
    rows, columns = np.array([picture.shape for picture in stack.pictures]).max(axis=0)
    require_affordable((columns, rows, stack.n_images), _VOXEL_BYTES, where=files.path)
    for picture in {picture.file: picture for picture in stack.pictures}.values():
        shape = (*picture.shape[::-1], picture.frames)
        require_affordable(shape, _STORED_BYTES, where=files.path)
