"""Bright tumour at the brain's surface, which networks for skull stripping bite off.

deepbet alone lost up to 17 % of a tumour. Two remedies, both of which leave a healthy head nearly
as it was: the network sees the head a second time with its brightness capped, so that tumour looks
like brain; and a thick bright piece inside the brain is followed outwards a little way. Dark bone
stops it, and orbital fat is no thick piece inside the brain. Knows nothing of networks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Against the brain's median; limits in voxels of 1 mm.
_BRIGHT = 1.25
_CORE_MM = 6.0
_REACH_MM = 15.0
_SMOOTHED_VOXELS = 3
_CLOSING_MM = 10.0


def capped(data: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """An image in which nothing is brighter than the median of the brain found so far."""
    return np.minimum(data, np.float32(np.median(data[brain])))


def with_bright_rim(
    brain: NDArray[np.bool_], data: NDArray[np.float32], median: float
) -> NDArray[np.bool_]:
    """A brain with what thick bright tissue in it reaches beyond its surface.

    Args:
        brain: Mask on an isotropic grid of 1 mm.
        data: The image on that grid.
        median: Of the image in the brain.

    Returns:
        The mask, grown by at most 15 mm where there is such tissue, and closed there.
    """
    bright = ndimage.uniform_filter(data, _SMOOTHED_VOXELS) > _BRIGHT * median
    core = ndimage.distance_transform_edt(bright & brain) >= _CORE_MM
    if not core.any():
        return brain
    within = ndimage.distance_transform_edt(~brain) <= _REACH_MM
    reached = ndimage.binary_propagation(core, mask=bright & within)
    grown = ndimage.binary_opening(reached, iterations=2) & ~brain
    if not grown.any():
        return brain
    near = ndimage.distance_transform_edt(~grown) <= _CLOSING_MM
    mended = brain | grown
    return np.asarray(mended | (_closed(mended) & near), dtype=np.bool_)


def _closed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Closed by a ball; distances are quicker than a large ball is."""
    margin = int(_CLOSING_MM) + 2
    wide = ndimage.distance_transform_edt(~np.pad(mask, margin)) <= _CLOSING_MM
    closed = ndimage.distance_transform_edt(wide) > _CLOSING_MM
    inner = slice(margin, -margin)
    return np.asarray(closed[inner, inner, inner], dtype=np.bool_)
