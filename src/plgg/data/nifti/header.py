"""Read and check the header of a NIfTI file, before any voxel is read.

Every field is checked, since a file may come from anywhere. An error describes the fault of the
field; faults that other readers tolerate are accepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.data.budget import require_affordable
from plgg.data.foreign import convert_reader_errors, describe_pair_header, foreign
from plgg.data.nifti.geometry import Geometry, geometry_of

_KINDS = (
    (nib.Nifti1Header, 348, 344, b"n+1\0"),
    (nib.Nifti2Header, 540, 4, b"n+2\0"),
)
_MORE_BYTES = 1024
_AGAIN = "Copy or convert it again."
_FLOAT_BYTES = 4
_OTHER_VALUES = {
    1: ("single bits", "Convert it to bytes (uint8)."),
    32: ("complex numbers", "Export the magnitude image."),
    1792: ("complex numbers", "Export the magnitude image."),
    2048: ("complex numbers", "Export the magnitude image."),
    128: ("colours (RGB)", "Name the scan itself, in grey values: this is a picture of it."),
    2304: ("colours (RGBA)", "Name the scan itself, in grey values: this is a picture of it."),
}
_CIFTI = range(3000, 3100)


@dataclass(frozen=True, eq=False)
class Header:
    """The checked values of a header.

    Attributes:
        shape: Shape of the single 3-D image.
        dtype: Type of the stored voxels.
        n_read: Bytes that were read of the file for the header.
        offset: Byte of the first voxel.
        slope: Factor from stored values to real ones.
        intercept: Added after the factor.
        geometry: Position and orientation of the image.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    n_read: int
    offset: int
    slope: float
    intercept: float
    geometry: Geometry

    @property
    def n_bytes(self) -> int:
        """Size of header and voxels."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(read: Callable[[int], bytes], path: Path) -> Header:
    """Read a header, and refuse files that are not one scan within the memory limit.

    Args:
        read: Gives the next bytes of the file, from its first one on, unpacked.
        path: For messages.

    Raises:
        InputError: If it is not NIfTI, not one 3-D image of real numbers, over the budget, or does
            not say where it lies.
    """
    start = read(_KINDS[0][1])
    if _length(start) != len(start):
        start += read(_KINDS[1][1] - len(start) if _length(start) else _MORE_BYTES)
    header = _parsed(start, path)
    try:
        shape = _shape(header, path)
        dtype = _dtype(header)
        require_affordable(shape, max(dtype.itemsize, _FLOAT_BYTES), where=path)
        slope, intercept = _scaling(header)
        offset = _offset(header)
        return Header(
            shape, dtype, len(start), offset, slope, intercept, geometry_of(header, shape)
        )
    except InputError as error:
        raise InputError(error.what, where=path, remedy=error.remedy) from error


def _parsed(start: bytes, path: Path) -> Any:  # noqa: ANN401 - nibabel has no types
    """Parse the header with nibabel, without checks and in its own byte order."""
    length = _length(start)
    if length is None:
        other = foreign(start, path)
        raise InputError(other.what, where=path, remedy=other.remedy)
    if len(start) < length:
        raise InputError(
            f"is truncated: its header ends after {len(start)} bytes", where=path, remedy=_AGAIN
        )
    kind, _, at, mark = next(row for row in _KINDS if row[1] == length)
    if start[at : at + 4] != mark:
        raise _unmarked(start[at : at + 4], path)
    order = "<" if int.from_bytes(start[:4], "little") == length else ">"
    return kind(start, endianness=order, check=False)


def _length(start: bytes) -> int | None:
    """The header's own length (sizeof_hdr); None if it is not that of NIfTI-1 or NIfTI-2."""
    said = {int.from_bytes(start[:4], order) for order in ("little", "big")}
    return next((length for _, length, _, _ in _KINDS if length in said), None)


def _unmarked(mark: bytes, path: Path) -> InputError:
    if mark in (b"ni1\0", b"ni2\0") or ".nii" not in path.name.lower():
        other = describe_pair_header(path)
        return InputError(other.what, where=path, remedy=other.remedy)
    return InputError(
        "its header has no mark of NIfTI: it is Analyze 7.5 or damaged",
        where=path,
        remedy="Convert it again, from DICOM if there is: Analyze does not tell left from right.",
    )


def _shape(header: Any, path: Path) -> tuple[int, int, int]:  # noqa: ANN401
    """Shape of the single 3-D image; further axes of length 1 are dropped."""
    if int(header["intent_code"]) in _CIFTI:
        raise InputError(
            "is CIFTI: values on surfaces, not an image",
            remedy="Name the image that it was computed from.",
        )
    dim = [int(side) for side in header["dim"]]
    if not 1 <= dim[0] <= 7:
        raise InputError(f"its header gives {dim[0]} dimensions, and 1 to 7 can be", remedy=_AGAIN)
    sides = dim[1 : dim[0] + 1]
    # Some writers set unused dimensions to 0.
    while len(sides) > 3 and sides[-1] in (0, 1):
        sides.pop()
    if len(sides) != 3:
        raise InputError(
            f"expected one 3-D image, got shape {tuple(sides)}",
            remedy="Split the series and name the one volume that is meant."
            if len(sides) > 3
            else "Name the whole scan: this is no more than a slice of one.",
        )
    if min(sides) < 1:
        require_affordable(sides, 1, where=path)
    return sides[0], sides[1], sides[2]


def _dtype(header: Any) -> np.dtype[Any]:  # noqa: ANN401
    code = int(header["datatype"])
    if code in _OTHER_VALUES:
        what, remedy = _OTHER_VALUES[code]
        raise InputError(f"holds {what}, not one real number a voxel", remedy=remedy)
    unknown = InputError(
        f"its header gives a type of voxels that is none or not known here (code {code})",
        remedy="Convert it to float32.",
    )
    with convert_reader_errors(lambda: unknown):
        dtype: np.dtype[Any] = np.dtype(header.get_data_dtype())
    if dtype.kind not in "iuf":
        raise unknown
    return dtype


def _scaling(header: Any) -> tuple[float, float]:  # noqa: ANN401
    """Slope and intercept; a slope that is 0 or not finite means no scaling."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not math.isfinite(slope):
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise InputError("its header adds no number to each value (scl_inter)", remedy=_AGAIN)
    return slope, intercept


def _offset(header: Any) -> int:  # noqa: ANN401
    least = int(header.single_vox_offset)
    offset = float(header["vox_offset"])
    if not math.isfinite(offset) or offset < least:
        raise InputError(
            f"its header puts the voxels at byte {offset:g}, before its own end", remedy=_AGAIN
        )
    return int(header["vox_offset"])


def scaled(stored: NDArray[Any], header: Header) -> NDArray[Any]:
    """Apply slope and intercept to stored values in double precision, as nibabel does."""
    if header.slope == 1.0 and header.intercept == 0.0:
        return stored
    wide = stored.astype(np.promote_types(stored.dtype, np.float64))
    return np.asarray(wide * header.slope + header.intercept)
