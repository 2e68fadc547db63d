"""Whole labels from voxels that were stored with rounding.

A label of 3 is written as 3.0000458 or 0.9999999 by tools that scale or resample masks: within
`TOLERANCE` of a whole number it is that number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-3


def whole_labels(data: NDArray[Any]) -> NDArray[Any] | None:
    """The labels of a mask, each rounded to the whole number that it lies within 0.001 of.

    Args:
        data: Voxels of any shape and any real type.

    Returns:
        An array of the same shape and type in which every value is whole (the same array if it
        was so already); None if a value is no label: a fraction, NaN or infinite.

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
