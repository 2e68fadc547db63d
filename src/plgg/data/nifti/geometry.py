"""Affine and unit of length of a NIfTI header, with warnings where the header is ambiguous."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.volume import Affine, Volume, corner_distance_mm, spacing_mm

_UNIT = 7
_TIME = (0, 8, 16, 24, 32, 40, 48)
_NAMES = {0: "unknown", 1: "meter", 2: "mm", 3: "micron"}
_IN_MM = {"meter": 1000.0, "micron": 0.001}


def unit_of_length(xyzt_units: int) -> tuple[str, str | None]:
    """Decode the unit of length of a header, with a warning if it is invalid.

    Args:
        xyzt_units: The header's byte; its lowest three bits are the unit of length.

    Returns:
        `meter`, `mm`, `micron` or `unknown`; a warning if the byte is not in the standard.
    """
    name = _NAMES.get(xyzt_units & _UNIT)
    sound = name is not None and xyzt_units - (xyzt_units & _UNIT) in _TIME
    taken = name or "mm"
    if sound:
        return taken, None
    read = "mm" if taken == "unknown" else taken
    return taken, f"its unit (xyzt_units {xyzt_units}) is none of the standard's: read as {read}"


def in_mm(unit: str) -> float:
    """Millimetres of one of a unit; an unknown one is taken as mm."""
    return _IN_MM.get(unit, 1.0)


MOST_CONFLICT_MM = 2.0
"""Largest distance of a corner by sform and qform: a qform has no shear and fewer digits."""
MOST_SIZE_DIFFERENCE = 0.05
"""Largest relative difference of a voxel's size between sform and pixdim."""

_FARTHEST_MM = 1e7
_LEAST_SPAN = 1e-3
_UNIT_QUATERNION, _ROUNDING = 1.001, 1e-7
_NO_SIZE = "Convert it from DICOM again, or write the true voxel size into the header."


@dataclass(frozen=True, eq=False)
class Geometry:
    """Position and orientation of an image.

    Attributes:
        affine: From voxel indices to mm.
        doubts: Warnings about the header, one clause each.
        conflict_mm: Largest distance of a corner by sform and qform; None within 2 mm, and where
            the qform is the sform without its shear.
        says_how: Whether the header gives an orientation; if not, the axes' directions are guesses.
    """

    affine: Affine
    doubts: tuple[str, ...]
    conflict_mm: float | None
    says_how: bool


def geometry_of(header: Any, shape: tuple[int, int, int]) -> Geometry:  # noqa: ANN401
    """Read the geometry of a header; harmless faults are corrected in the header itself.

    Args:
        header: nibabel's, unchecked.
        shape: Of the image.

    Raises:
        InputError: If the voxel size is unknown, sform and qform are mirror images, or the affine
            is invalid.
    """
    unit, doubt = unit_of_length(int(header["xyzt_units"]))
    pixdim = np.array(header["pixdim"][1:4], dtype=np.float64)
    _correct_tolerated_faults(header)
    with np.errstate(all="ignore"):
        sform_doubt = _without_broken_sform(header) if _are_sizes(pixdim) else ()
        _require_size(header, pixdim)
        _refuse_mirrored(header)
        affine = _in_mm(header.get_best_affine(), unit)
        _refuse_far(affine)
        gap = _conflict_mm(header, shape, unit) if _are_sizes(pixdim) else None
        doubts = (*sform_doubt, *_orientation(header, gap), *_sizes(header, pixdim))
    return Geometry(affine, (*doubts, doubt) if doubt else doubts, gap, _has_orientation(header))


def _orientation(header: Any, gap: float | None) -> Iterator[str]:  # noqa: ANN401
    if not _has_orientation(header):
        yield "its header does not say how it lies: left, front and up are guesses"
    if gap is not None:
        shown = f"{gap:.0f}" if gap < _FARTHEST_MM else f"{gap:.1g}"
        yield f"sform and qform put it up to {shown} mm apart, and the sform was taken"


def _has_orientation(header: Any) -> bool:  # noqa: ANN401
    return bool(header["sform_code"] > 0 or header["qform_code"] > 0)


def _without_broken_sform(header: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Ignore an invalid sform where the qform is valid, with a warning."""
    forms = _forms(header)
    if forms is None or _is_affine(forms[0]) or not _is_affine(forms[1]):
        return ()
    header["sform_code"] = 0
    return ("its sform is no affine, and the qform was taken",)


def _is_affine(form: Affine) -> bool:
    """Whether a matrix is finite and its axes are linearly independent."""
    sides = spacing_mm(form)
    if not (np.isfinite(form).all() and (sides > 0).all()):
        return False
    return bool(abs(np.linalg.det(form[:3, :3] / sides)) > _LEAST_SPAN)


def _sizes(header: Any, pixdim: NDArray[np.float64]) -> Iterator[str]:  # noqa: ANN401
    """Warn of voxel sizes that differ between sform and pixdim."""
    if not header["sform_code"] > 0:
        return
    sides = spacing_mm(header.get_sform())
    if not _are_sizes(pixdim):
        yield f"its pixdim ({_size_text(pixdim)}) is no voxel size, and that of the sform was taken"
    elif (np.abs(pixdim - sides) > MOST_SIZE_DIFFERENCE * np.maximum(sides, pixdim)).any():
        yield (
            f"its voxels are {_size_text(sides)} by the sform and {_size_text(pixdim)} by pixdim, "
            "and the sform was taken"
        )


def _are_sizes(pixdim: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(pixdim).all() and (pixdim > 0).all())


def _size_text(sides: NDArray[np.float64]) -> str:
    return "×".join(f"{side:.3g}" for side in sides)


def _correct_tolerated_faults(header: Any) -> None:  # noqa: ANN401
    """Correct what every reader tolerates: an invalid qfac, invalid codes, a rounded quaternion."""
    if header["pixdim"][0] not in (-1.0, 1.0):
        header["pixdim"][0] = 1.0
    for code in ("sform_code", "qform_code"):
        if not 0 <= header[code] <= 5:
            header[code] = 0
    # Only for the check against mirror images: no position is computed from these sizes.
    sides = np.abs(header["pixdim"][1:4])
    header["pixdim"][1:4] = np.where(np.isfinite(sides) & (sides > 0), sides, 1.0)
    names = ("quatern_b", "quatern_c", "quatern_d")
    vector = np.array([header[name] for name in names], dtype=np.float64)
    norm = float(np.linalg.norm(vector))
    if 1.0 + _ROUNDING < norm <= _UNIT_QUATERNION:
        for name, value in zip(names, vector / norm, strict=True):
            header[name] = value


def _require_size(header: Any, pixdim: NDArray[np.float64]) -> None:  # noqa: ANN401
    """Refuse a header whose affine would need a voxel size that it does not give."""
    if header["sform_code"] > 0:
        if (spacing_mm(header.get_sform()) == 0).any():
            raise InputError(
                "its sform gives a voxel a side of 0 mm: the voxel size is unknown", remedy=_NO_SIZE
            )
    elif not _are_sizes(pixdim):
        raise InputError(
            f"its voxel size is unknown (pixdim {_size_text(pixdim)}, and no sform)",
            remedy=_NO_SIZE,
        )
    elif header["qform_code"] > 0 and _qform(header) is None:
        raise InputError(
            "its qform is no rotation: how it lies is unknown",
            remedy="Convert it from DICOM again.",
        )


def _in_mm(affine: NDArray[Any], unit: str) -> Affine:
    """An affine in mm.

    Raises:
        InputError: If the unit makes voxels of a size that no scanner gives.
    """
    factor = in_mm(unit)
    scaled = np.diag([factor, factor, factor, 1.0]) @ np.asarray(affine, dtype=np.float64)
    size = spacing_mm(scaled)
    if factor != 1.0 and np.isfinite(size).all() and (size.min() < 0.01 or size.max() > 100.0):
        raise InputError(
            f"the header's unit ({unit}) makes voxels of {size.max():g} mm",
            remedy="Mend the header's xyzt_units, for example with fslchfiletype or nibabel.",
        )
    return np.asarray(scaled, dtype=np.float64)


def _refuse_far(affine: Affine) -> None:
    largest = float(np.abs(affine[:3]).max())
    if largest > _FARTHEST_MM and np.isfinite(largest):
        raise InputError(
            f"its header puts it {largest / 1e6:.1g} km away from the scanner",
            remedy="Mend the header's qform or sform, or convert it from DICOM again.",
        )


def _conflict_mm(header: Any, shape: tuple[int, int, int], unit: str) -> float | None:  # noqa: ANN401
    """Largest distance of a corner by sform and qform; None if only one is set or they agree."""
    forms = _forms(header)
    if forms is None:
        return None
    empty = np.broadcast_to(np.int8(0), shape)

    def apart(*two: Affine) -> float:
        return corner_distance_mm(*(Volume(empty, _in_mm(form, unit)) for form in two))

    sform, qform = forms
    try:
        gap = apart(sform, qform)
        agree = gap <= MOST_CONFLICT_MM or apart(_unsheared(sform), qform) <= MOST_CONFLICT_MM
    except InputError:  # One cannot be inverted or is not finite: no place to compare.
        return None
    return None if agree else gap


def _unsheared(form: Affine) -> Affine:
    """The nearest affine without shear, which `write_volume` and others store as the qform."""
    header = nib.Nifti1Header()
    header.set_qform(form, strip_shears=True)
    return np.asarray(header.get_qform(), dtype=np.float64)


def _refuse_mirrored(header: Any) -> None:  # noqa: ANN401
    forms = _forms(header)
    if forms is None:
        return
    with np.errstate(all="ignore"):
        signs = [np.sign(np.linalg.det(form[:3, :3])) for form in forms]
    if signs[0] * signs[1] < 0:
        raise InputError(
            "sform and qform are mirror images: left and right cannot be told",
            remedy="Export it again, or, if you know which is right, copy that one over the other"
            " (FSL: fslorient -copysform2qform or -copyqform2sform).",
        )


def _forms(header: Any) -> tuple[Affine, Affine] | None:  # noqa: ANN401
    """The sform and the qform, if both are set and the qform is valid."""
    if not (header["sform_code"] > 0 and header["qform_code"] > 0):
        return None
    qform = _qform(header)
    return None if qform is None else (header.get_sform(), qform)


def _qform(header: Any) -> Affine | None:  # noqa: ANN401
    try:
        return np.asarray(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError):  # An invalid quaternion.
        return None
