"""How much of a head a scan covers, by its grid alone: the same judgement for NIfTI and DICOM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST_SLICES = 8
"""Along any axis. Real scans have 20 and more; 8 of 10 mm would still be a head."""

SMALLEST_EXTENT_MM = 60.0
"""Along any axis, from edge to edge. Clinical scans cover 115 mm and more, a newborn's head 80."""


def coverage_fault(
    shape: Sequence[int], spacing_mm: Sequence[float] | NDArray[np.float64]
) -> str | None:
    """Why a grid covers too little to be a scan of a head; None where it covers enough.

    Args:
        shape: Number of voxels along each axis.
        spacing_mm: Distance between voxel centres along each axis, in mm.

    Returns:
        One clause without a full stop, about the axis that is worst.

    Example:
        >>> coverage_fault((256, 256, 2), (0.9, 0.9, 5.0))
        'it covers 10 mm in 2 slices, too little of a head (at least 60 mm in 8 slices are needed)'
    """
    axes = [(n, n * float(step)) for n, step in zip(shape, spacing_mm, strict=True)]
    if all(n >= FEWEST_SLICES and extent >= SMALLEST_EXTENT_MM for n, extent in axes):
        return None
    n, extent = min(
        axes, key=lambda axis: min(axis[0] / FEWEST_SLICES, axis[1] / SMALLEST_EXTENT_MM)
    )
    slices = "1 slice" if n == 1 else f"{n} slices"
    return (
        f"it covers {extent:.3g} mm in {slices}, too little of a head (at least"
        f" {SMALLEST_EXTENT_MM:.0f} mm in {FEWEST_SLICES} slices are needed)"
    )
