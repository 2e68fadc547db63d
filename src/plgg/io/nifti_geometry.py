"""What a NIfTI header says of where its image lies, and whether it contradicts itself.

A header may hold two affines, sform and qform, and a unit of length. Works on headers; knows
nothing of files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError

from plgg.errors import InputError
from plgg.volume import Affine, Volume, corner_distance_mm, spacing_mm

MOST_CONFLICT_MM = 2.0
"""By which sform and qform may differ at a corner: a qform cannot hold shear, nor many digits."""

_MM = {"meter": 1000.0, "micron": 0.001}


def affine_mm(affine: Affine, header: Any) -> Affine:  # noqa: ANN401 - nibabel has no types
    """An affine of a header in mm, whatever the header's unit of length.

    Raises:
        InputError: If the unit makes voxels of a size that no scanner gives.
    """
    factor = _MM.get(header.get_xyzt_units()[0], 1.0)
    scaled = np.diag([factor, factor, factor, 1.0]) @ np.asarray(affine, dtype=np.float64)
    size = spacing_mm(scaled)
    if factor != 1.0 and np.isfinite(size).all() and (size.min() < 0.01 or size.max() > 100.0):
        raise InputError(
            f"the header's unit ({header.get_xyzt_units()[0]}) makes voxels of {size.max():g} mm",
            remedy="Mend the header's xyzt_units, for example with fslchfiletype or nibabel.",
        )
    return np.asarray(scaled, dtype=np.float64)


def conflict_mm(header: Any) -> float | None:  # noqa: ANN401
    """How far sform and qform put a corner apart, in mm; None where only one counts."""
    forms = _forms(header)
    if forms is None:
        return None
    shape = (*header.get_data_shape(), 1, 1, 1)[:3]
    empty = np.broadcast_to(np.int8(0), shape)
    try:
        return corner_distance_mm(*(Volume(empty, affine_mm(form, header)) for form in forms))
    except InputError:  # One cannot be inverted or is not finite: no place to compare.
        return None


def is_mirrored(header: Any) -> bool:  # noqa: ANN401
    """Whether both orientations count and one is the other's mirror image."""
    forms = _forms(header)
    if forms is None:
        return False
    signs = [np.sign(np.linalg.det(form[:3, :3])) for form in forms]
    return bool(signs[0] * signs[1] < 0)


def is_known(header: Any) -> bool:  # noqa: ANN401
    """Whether the header says at all how the image lies, rather than its voxel sizes alone."""
    return bool(header["sform_code"] > 0 or header["qform_code"] > 0)


def _forms(header: Any) -> tuple[Affine, Affine] | None:  # noqa: ANN401
    """The sform and the qform, if both count."""
    if not (header["sform_code"] > 0 and header["qform_code"] > 0):
        return None
    try:
        return header.get_sform(), header.get_qform()
    except (HeaderDataError, ValueError):  # A quaternion that is none.
        return None
