"""One grid's voxels in the axis order of another: permuted and flipped, never interpolated.

A mask drawn in another program often comes back with its axes in another order and its header
right: the same voxels at the same places. Positions decide, so any orientation and any oblique
affine will do.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np

from plgg.volume import Volume, index_map, same_grid


def axes_of(volume: Volume) -> str:
    """Where the axes run to, for example `LPS`."""
    return "".join(nib.aff2axcodes(volume.affine))


def turned_onto(volume: Volume, grid: Volume) -> Volume | None:
    """The volume with its voxels in the order of a grid's, where both lie at the same places.

    Args:
        volume: To be turned.
        grid: Whose shape and affine are wanted.

    Returns:
        The same values under the grid's affine; None where the places differ by over 0.1 mm.
    """
    turned = nearest_axes(volume, grid)
    return Volume(turned.data, grid.affine) if same_grid(turned, grid) else None


def nearest_axes(volume: Volume, grid: Volume) -> Volume:
    """The volume with its axes permuted and flipped to run as nearly as they can as the grid's.

    Nothing moves in the world: the affine follows.
    """
    onto = nib.io_orientation(index_map(grid.affine, volume.affine))
    data = nib.apply_orientation(volume.data, onto)
    back = nib.orientations.inv_ornt_aff(onto, volume.shape)
    return Volume(data, volume.affine @ back)


def same_axes(a: Volume, b: Volume) -> bool:
    """Whether the axes of two grids run as nearly as they can the same ways."""
    onto = nib.io_orientation(index_map(b.affine, a.affine))
    return bool(np.array_equal(onto, [[0, 1], [1, 1], [2, 1]]))
