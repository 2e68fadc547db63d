"""The box of the SRI24 grid that heads lie in, and the voxels that a scanner samples it by.

The grid is that of the SRI24 atlas as BraTS uses it. Positions in the box are in mm from the centre
of its first voxel of 1 mm, whatever the scanner's voxels are; outside the box phantoms are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plgg.core.volume import Affine, apply_affine
from plgg.data.atlas.grid import AFFINE, SHAPE, grid_at_spacing
from plgg.data.atlas.template import mni_to_sri24, template_map
from plgg.phantom.lattice import Axes

# In voxels; heads are scaled, rotated and shifted by up to about this much.
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
    """Extent of the box along each axis, in voxels of 1 mm."""
    i, j, k = (part.stop - part.start for part in head_box())
    return i, j, k


def box_affine() -> Affine:
    """4×4 matrix from positions in the box to SRI24's world, in mm."""
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in head_box()]
    return np.asarray(AFFINE @ shift, dtype=np.float64)


def box_voxel(point_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Position in the box, in mm, of points of SRI24's world; shape (..., 3)."""
    return apply_affine(inverse(box_affine()), point_mm)


def inverse(affine: Affine) -> Affine:
    """The affine that undoes another."""
    return np.asarray(np.linalg.inv(affine), dtype=np.float64)


@dataclass(frozen=True)
class Raster:
    """A scanner's voxels over the field of view of SRI24, and the part of them in the box.

    Attributes:
        spacing_mm: Isotropic size of a voxel.
    """

    spacing_mm: float = 1.0

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the whole field of view."""
        return grid_at_spacing(self.spacing_mm)[0]

    @cached_property
    def affine(self) -> Affine:
        """4×4 matrix from voxels of the whole field of view to SRI24's world, in mm."""
        return grid_at_spacing(self.spacing_mm)[1]

    @cached_property
    def part(self) -> Box:
        """The voxels whose centres lie in the box."""
        i, j, k = (
            slice(*np.searchsorted(centres, [box.start, box.stop - 0.5]).tolist())
            for centres, box in zip(self._centres_mm, head_box(), strict=True)
        )
        return i, j, k

    @cached_property
    def points_mm(self) -> Axes:
        """Positions of the box's voxels along each axis, in mm."""
        x, y, z = (
            centres[part] - box.start
            for centres, part, box in zip(self._centres_mm, self.part, head_box(), strict=True)
        )
        return x, y, z

    @property
    def box_shape(self) -> tuple[int, int, int]:
        """Voxels of the box along each axis."""
        i, j, k = (len(points) for points in self.points_mm)
        return i, j, k

    def nearest(self, point: NDArray[np.generic]) -> tuple[int, int, int]:
        """The box's voxel that is nearest to a position in it, in mm."""
        i, j, k = (
            int(np.abs(points - at).argmin())
            for points, at in zip(self.points_mm, point, strict=True)
        )
        return i, j, k

    def between(self, low_mm: Sequence[float], high_mm: Sequence[float]) -> Box:
        """The box's voxels from one position up to another, which is excluded."""
        i, j, k = (
            slice(*np.searchsorted(points, [low, high]).tolist())
            for points, low, high in zip(self.points_mm, low_mm, high_mm, strict=True)
        )
        return i, j, k

    def on_grid(self, in_box: NDArray[Number]) -> NDArray[Number]:
        """An array of the box on the whole field of view, with 0 around it."""
        whole = np.zeros(self.shape, dtype=in_box.dtype)
        whole[self.part] = in_box
        return whole

    @property
    def _centres_mm(self) -> Axes:
        x, y, z = (
            np.asarray((np.arange(n) + 0.5) * self.spacing_mm - 0.5, dtype=np.float64)
            for n in self.shape
        )
        return x, y, z


ONE_MM = Raster()
