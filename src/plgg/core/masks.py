"""Masks: read integer labels from values with rounding errors, and fill holes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.errors import InputError


def fill_holes(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Fill the holes of a mask: background that has no path through voxel faces to the outside.

    SciPy's `binary_fill_holes` gives the same result by dilation, which is slower on a head.

    Args:
        mask: Boolean, of any shape.
    """
    # Padding connects the outside to one component, which contains the first corner.
    labels, _ = ndimage.label(np.pad(mask, 1) == 0)
    inner = (slice(1, -1),) * mask.ndim
    return np.asarray(labels[inner] != labels.flat[0], dtype=np.bool_)


TOLERANCE = 1e-3
MOST_LABELS = 10
_BINARY = (
    "Write a mask of 0 and 1: threshold a probability or an interpolated mask at 0.5, and check "
    "that the columns flair and mask are not swapped."
)


def whole_labels(data: NDArray[Any]) -> NDArray[Any] | None:
    """Round the values of a mask to integers, if each is within 0.001 of one.

    Args:
        data: Voxels of any shape and any real type.

    Returns:
        An array of the same shape and type with integer values (the same array if they were
        integers already); None if a value is no label: a fraction, NaN or infinite.

    Example:
        >>> whole_labels(np.array([0.0, 0.9999999, 3.0000458]))
        array([0., 1., 3.])
        >>> whole_labels(np.array([0.0, 0.5])) is None
        True
    """
    if data.dtype.kind in "biu":
        return data
    whole = np.rint(data)
    # Both comparisons are false for NaN, and infinity minus itself is NaN.
    with np.errstate(invalid="ignore"):
        gap = np.abs(data - whole)
    if not (gap <= TOLERANCE).all():
        return None
    return data if not gap.any() else whole + np.zeros((), dtype=data.dtype)


def mask_labels(data: NDArray[Any]) -> NDArray[Any]:
    """Labels of a tumour mask, with tolerance for rounding and scaling; > 0 is tumour.

    A mask with a single value besides 0 is binary, whatever that value is (1, 255, 0.996).

    Args:
        data: Voxels of any shape and any real type.

    Returns:
        An array of the same shape and type, whose voxels outside any label are exactly 0.

    Raises:
        InputError: If the voxels are no labels: negative or not finite, fractions, or of more
            different values than a mask has.
    """
    values = data[data != 0]
    if not values.size:
        return data
    _refuse_numbers(values)
    if values.min() == values.max() and values.min() > 0:
        return data
    whole = whole_labels(data)
    if whole is None:
        raise InputError(f"the mask holds fractions (between {_range(values)})", remedy=_BINARY)
    found = np.unique(whole[whole != 0])
    if not found.size:
        raise InputError(f"the mask holds nothing but {_range(values)}", remedy=_BINARY)
    if found.size > MOST_LABELS:
        raise InputError(
            f"the mask holds {found.size} different values, as an image would", remedy=_BINARY
        )
    return whole


def _refuse_numbers(values: NDArray[Any]) -> None:
    n_bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if n_bad:
        voxels = "voxel that is" if n_bad == 1 else "voxels that are"
        raise InputError(f"the mask holds {n_bad} {voxels} NaN or infinite", remedy=_BINARY)
    low = float(values.min())
    if low < -TOLERANCE:
        raise InputError(f"the mask holds negative values, down to {low:g}", remedy=_BINARY)


def _range(values: NDArray[Any]) -> str:
    return f"{float(values.min()):g} and {float(values.max()):g}"
