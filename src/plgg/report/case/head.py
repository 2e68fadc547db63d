"""`head_of`: where the scan shows something, coarsely: a brain, or a whole head with its skin.

Serves to crop pictures, to set their greys and to draw a surface; nothing is measured by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.holes import filled
from plgg.volume import Volume

_COARSE_MM = 3.0
_SHARE = 0.12
_SMALLEST_TO_OPEN = 12


@dataclass(frozen=True, eq=False)
class Head:
    """A coarse picture of what is not background.

    Attributes:
        inside: Boolean, on every `steps`-th voxel of the scan.
        steps: Along each axis.
        low: Intensity to show black.
        high: Intensity to show white.
    """

    inside: Volume
    steps: tuple[int, int, int]
    low: float
    high: float


def head_of(scan: Volume) -> Head:
    """Find it: what differs from the corners, in one piece, with its holes filled.

    Args:
        scan: Finite intensities; the background may have any.
    """
    steps = tuple(max(1, round(_COARSE_MM / mm)) for mm in scan.spacing_mm)
    coarse = scan.data[:: steps[0], :: steps[1], :: steps[2]]
    background = float(np.median(coarse[np.ix_(*[(0, n - 1) for n in coarse.shape])]))
    away = np.abs(coarse - background)
    inside = _one_piece(away > _SHARE * float(np.percentile(away, 99)))
    found = coarse[inside] if inside.any() else coarse
    low, high = map(float, np.percentile(found, (1.0, 99.9)))
    affine = scan.affine @ np.diag([*steps, 1.0])
    return Head(Volume(inside, affine), steps, min(low, background), max(high, low + 1e-6))


def _one_piece(inside: NDArray[Any]) -> NDArray[np.bool_]:
    if min(inside.shape) >= _SMALLEST_TO_OPEN:
        inside = ndimage.binary_opening(inside)
    parts, n = ndimage.label(inside)
    if n > 1:
        inside = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return _filled(inside)


def _filled(inside: NDArray[Any]) -> NDArray[np.bool_]:
    """Holes filled slice by slice along each axis, so that caves open at one end are filled too."""
    solid = np.array(inside, dtype=np.bool_)
    for axis in range(3):
        for plane in np.moveaxis(solid, axis, 0):
            plane[...] = filled(plane)
    return solid
