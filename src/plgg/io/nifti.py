"""NIfTI files to `Volume` and back.

Any orientation and any affine that can be inverted; nothing is reoriented or resampled here. Where
a header's two orientations disagree the sform counts, as in most tools, unless they are mirror
images.
Knows nothing of what the image shows.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from plgg.errors import InputError
from plgg.io.files import written_aside
from plgg.io.nifti_geometry import (
    MOST_CONFLICT_MM,
    affine_mm,
    conflict_mm,
    is_known,
    is_mirrored,
)
from plgg.volume import Volume

_LOGGER = logging.getLogger(__name__)
SUFFIXES = (".nii", ".nii.gz")
_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    WrapStructError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    zlib.error,
)


def is_nifti(path: Path) -> bool:
    """Whether a path is named as a NIfTI file."""
    return path.name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """File name without `.nii` or `.nii.gz`, in capitals or not."""
    length = next((len(end) for end in reversed(SUFFIXES) if path.name.lower().endswith(end)), 0)
    return path.name[: len(path.name) - length]


def read_volume(path: Path) -> Volume:
    """Read one 3-D image as float32; a 4-D file is accepted if it holds a single volume.

    Returns:
        The image in its own orientation; header scaling is applied, and lengths are in mm
        whatever the header's unit.

    Raises:
        InputError: If the file is missing, unreadable, truncated, of more than one volume, if its
            affine cannot be inverted, or if sform and qform are mirror images.
    """
    if not path.is_file():
        raise InputError("no such file", where=path, remedy="Check the path in the manifest.")
    try:
        image = _load(path)
        with np.errstate(over="ignore"):  # Infinity is found and named by the check.
            data = np.asanyarray(image.dataobj, dtype=np.float32)
    except _UNREADABLE as error:
        reason = str(error).split("\n")[0][:120] or type(error).__name__
        raise InputError(
            f"cannot be read as NIfTI ({reason})", where=path, remedy="Copy or convert it again."
        ) from error
    return _as_volume(data, _affine(image, path), path)


def geometry_conflict_mm(path: Path) -> float | None:
    """How far sform and qform put a corner apart, in mm; None where they agree within 2 mm.

    Raises:
        InputError: If the header cannot be read.
    """
    gap = conflict_mm(_header(path))
    return gap if gap is not None and gap > MOST_CONFLICT_MM else None


def orientation_is_known(path: Path) -> bool:
    """Whether the header says how the image lies; otherwise left, front and up are guesses.

    Raises:
        InputError: If the header cannot be read.
    """
    return is_known(_header(path))


def _header(path: Path) -> Any:  # noqa: ANN401 - nibabel has no types
    try:
        return nib.load(path).header
    except _UNREADABLE as error:
        raise InputError(
            "its header cannot be read as NIfTI", where=path, remedy="Copy or convert it again."
        ) from error


def _affine(image: Any, path: Path) -> NDArray[np.float64]:  # noqa: ANN401
    """The image's affine in mm, once its header is known not to contradict itself."""
    if is_mirrored(image.header):
        raise InputError(
            "sform and qform are mirror images: left and right cannot be told",
            where=path,
            remedy="Export it again, or, if you know which is right, copy that one over the other"
            " (FSL: fslorient -copysform2qform or -copyqform2sform).",
        )
    gap = conflict_mm(image.header)
    if gap is not None and gap > MOST_CONFLICT_MM:
        _LOGGER.warning("%s: sform and qform differ by %.1f mm; the sform is used", path, gap)
    try:
        return affine_mm(image.affine, image.header)
    except InputError as error:
        raise InputError(error.what, where=path, remedy=error.remedy) from error


def _load(path: Path) -> Any:  # noqa: ANN401 - nibabel has no types
    """The image; a compressed file is taken apart whole, so that its checksum is verified."""
    if not path.name.lower().endswith(".gz"):
        image = nib.load(path)
    else:
        raw = gzip.decompress(path.read_bytes())
        second = len(raw) > 4 and 540 in (
            int.from_bytes(raw[:4], "little"),
            int.from_bytes(raw[:4], "big"),
        )
        image = (nib.Nifti2Image if second else nib.Nifti1Image).from_bytes(raw)
    if np.issubdtype(image.get_data_dtype(), np.complexfloating):
        raise ValueError("complex numbers")
    return image


def _as_volume(data: NDArray[Any], affine: NDArray[np.float64], path: Path) -> Volume:
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3 or 0 in data.shape:
        raise InputError(
            f"expected one 3-D image, got shape {data.shape}",
            where=path,
            remedy="Split a 4-D series and name the volume that is the FLAIR.",
        )
    try:
        return Volume(data, affine)
    except InputError as error:
        raise InputError(error.what, where=path, remedy=error.remedy) from error


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume with its affine as both sform and qform; bool becomes uint8.

    The sform is the exact affine (as float32, NIfTI's own precision); the qform is its nearest
    shear-free relative, for viewers that read only that.
    """
    data = volume.data.astype(np.uint8) if volume.data.dtype == np.bool_ else volume.data
    image = nib.Nifti1Image(data, volume.affine)
    _save(path, image, volume.affine)


def write_probability(path: Path, volume: Volume) -> None:
    """Write probabilities in [0, 1] as 8-bit codes with a header slope of 1/255 (error ≤ 0.002)."""
    codes = np.round(np.clip(volume.data, 0.0, 1.0) * 255.0).astype(np.uint8)
    image = nib.Nifti1Image(codes, volume.affine)
    image.header.set_slope_inter(1.0 / 255.0, 0.0)
    _save(path, image, volume.affine)


def _save(path: Path, image: nib.Nifti1Image, affine: NDArray[np.float64]) -> None:
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner", strip_shears=True)
    image.header.set_xyzt_units("mm")
    raw = image.to_bytes()
    if path.name.endswith(".gz"):
        # No time stamp, so that equal images are equal files; level 1 is 5 times faster than 9.
        raw = gzip.compress(raw, compresslevel=1, mtime=0)
    with written_aside(path) as aside:
        aside.write_bytes(raw)
