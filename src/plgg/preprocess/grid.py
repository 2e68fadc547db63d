"""The grids that scans are brought to: SRI24's at any spacing, slices as acquired, a working grid.

Of the atlas only the field of view is used, not the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from plgg.core.volume import Affine, Volume, apply_affine, index_map, spacing_mm
from plgg.data.atlas.grid import grid_at_spacing
from plgg.preprocess.resample import resample, smooth_for


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid: shape (I, J, K) and voxel → world affine in mm.

    Attributes:
        along_scan: Whether its axes are those of the scan, each with a voxel size of its own.
    """

    shape: tuple[int, int, int]
    affine: Affine
    along_scan: bool = False


def sri24_grid(spacing_mm: float) -> Grid:
    """The SRI24 field of view at a spacing; the outer edges of the first voxels stay in place.

    At 1 mm this is the atlas' own grid, at 2 mm 120×120×78.
    """
    return Grid(*grid_at_spacing(spacing_mm))


# Pixels of a slice, left-right and front-back, and how many at each side stay free of brain.
MATRIX = (112, 144)
_FREE = 2


def slices_grid(brain: Volume, least_mm: float) -> Grid:
    """Grid of the slices as acquired, with the brain scaled into 112×144 square pixels.

    The axes are those of the scan that are nearest to left, posterior and superior. Slices are not
    interpolated along the last axis, but thin ones are merged, a whole number of them. A scan that
    was not acquired in axial slices is treated in the same way.

    Args:
        brain: Mask on the native grid, not empty.
        least_mm: Thickness that thin slices are merged to, about.

    Returns:
        The grid in the scan's world.
    """
    axes = nibabel.orientations.io_orientation(brain.affine)
    native = [int(np.flatnonzero(axes[:, 0] == world)[0]) for world in range(3)]
    # Box axes run to the left, the back and the top; those of `axes` to the right, front and top.
    turned = [-axes[native[0], 1], -axes[native[1], 1], axes[native[2], 1]]
    ends = [
        np.flatnonzero(brain.data.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in native
    ]
    centres = [float(end.mean()) for end in ends]
    sizes = [int(end[1] - end[0] + 1) for end in ends]
    spacing = [float(brain.spacing_mm[axis]) for axis in native]
    pixel = max(
        n * mm / (side - 2 * _FREE) for n, mm, side in zip(sizes, spacing, MATRIX, strict=False)
    )
    joined = max(1, round(least_mm / spacing[2]))
    shape = (*MATRIX, -(-sizes[2] // joined))
    steps = [pixel / spacing[0], pixel / spacing[1], float(joined)]
    there = np.zeros((4, 4))
    there[3, 3] = 1.0
    for own, axis in enumerate(native):
        there[axis, own] = turned[own] * steps[own]
        there[axis, 3] = centres[own] - turned[own] * steps[own] * (shape[own] - 1) / 2.0
    return Grid(shape, brain.affine @ there, along_scan=True)


def working_grid(volume: Volume, target_mm: float) -> Grid:
    """The smallest grid with axes R, A, S and isotropic voxels that holds a whole volume.

    Args:
        volume: Any image, in any orientation.
        target_mm: Voxel size in mm.
    """
    ends = [(-0.5, n - 0.5) for n in volume.shape]
    corners = apply_affine(volume.affine, np.array(np.meshgrid(*ends)).reshape(3, -1).T)
    low, high = corners.min(axis=0), corners.max(axis=0)
    i, j, k = (max(1, int(np.ceil(n))) for n in (high - low) / target_mm)
    affine = np.diag([target_mm, target_mm, target_mm, 1.0])
    affine[:3, 3] = low + target_mm / 2.0
    return Grid((i, j, k), affine)


def working_image(volume: Volume, target_mm: float) -> Volume:
    """Resample a scan (or a mask, to shares in [0, 1]) to its working grid, float32, low-passed."""
    grid = working_grid(volume, target_mm)
    return resample_to_grid(volume, grid)


def resample_to_grid(volume: Volume, grid: Grid) -> Volume:
    """Resample a volume to a grid in its world, float32, low-passed against aliasing; 0 outside."""
    target_mm = float(spacing_mm(grid.affine).min())
    smooth = smooth_for(volume.data, spacing_mm=volume.spacing_mm, target_mm=target_mm)
    there = index_map(volume.affine, grid.affine)
    return Volume(resample(smooth, there, grid.shape), grid.affine)


def resample_to_native(data: NDArray[Any], grid: Grid, volume: Volume) -> NDArray[np.float32]:
    """Resample an array of the working grid to the native voxels, linearly; 0 outside."""
    return resample(data, index_map(grid.affine, volume.affine), volume.shape)
