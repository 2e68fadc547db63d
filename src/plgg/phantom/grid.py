"""The box of the SRI24 grid that heads lie in; outside it phantoms are 0.

The grid is that of the SRI24 atlas as BraTS uses it. Knows nothing of what is drawn in it.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plgg.io.sri24 import AFFINE, SHAPE
from plgg.io.template import mni_to_sri24, template_map
from plgg.volume import Affine, apply_affine

# Heads are larger, turned and moved by up to about this much.
_MARGIN = 12
Box = tuple[slice, slice, slice]
Number = TypeVar("Number", bound=np.generic)


@cache
def head_box() -> Box:
    """The part of the grid that may hold brain."""
    template = template_map("t1")
    voxels = np.argwhere(template.data[::3, ::3, ::3] > 0) * 3
    world = apply_affine(mni_to_sri24() @ template.affine, voxels)
    grid = apply_affine(inverse(AFFINE), world)
    low = np.maximum(np.floor(grid.min(axis=0)).astype(int) - _MARGIN, 0)
    high = np.minimum(np.ceil(grid.max(axis=0)).astype(int) + _MARGIN, SHAPE)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k


def box_shape() -> tuple[int, int, int]:
    """Voxels of the box along each axis."""
    i, j, k = (part.stop - part.start for part in head_box())
    return i, j, k


def box_affine() -> Affine:
    """4×4 matrix from the box's voxels to SRI24's world, in mm."""
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in head_box()]
    return np.asarray(AFFINE @ shift, dtype=np.float64)


def box_voxel(point_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Position in the box, in voxels, of points of SRI24's world; shape (..., 3)."""
    return apply_affine(inverse(box_affine()), point_mm)


def inverse(affine: Affine) -> Affine:
    """The affine that undoes another."""
    return np.asarray(np.linalg.inv(affine), dtype=np.float64)


def on_grid(in_box: NDArray[Number]) -> NDArray[Number]:
    """An array of the box on the whole grid, with 0 around it."""
    whole = np.zeros(SHAPE, dtype=in_box.dtype)
    whole[head_box()] = in_box
    return whole
