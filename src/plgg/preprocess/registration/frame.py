"""Scan and atlas on their 2 mm grids, before and after registration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from plgg.core.volume import Affine, Volume, apply_affine, corner, index_map, inverse
from plgg.data.atlas.atlas import Atlas
from plgg.preprocess.bias import correct_bias_field
from plgg.preprocess.brain_extraction import bounding_box
from plgg.preprocess.grid import Grid, resample_to_grid, sri24_grid, working_grid
from plgg.preprocess.resample import resample

Model = Literal["rigid", "similarity", "affine"]
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def as_image(volume: Volume) -> sitk.Image:
    """Convert to a float32 SimpleITK image, in LPS; the affine must not be sheared.

    Working images are not, and starts only rotate, shift and scale them.
    """
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data.T, dtype=np.float32))
    lps = _LPS @ volume.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def turned(matrix: Affine) -> Affine:
    """Convert a matrix from LPS to RAS worlds or back, which is the same operation."""
    return np.asarray(_LPS @ matrix @ _LPS, dtype=np.float64)


WORKING_MM = 2.0
_MARGIN = 4


@dataclass(frozen=True, eq=False)
class Frame:
    """An image on its working grid and its brain mask, to be registered.

    Attributes:
        image: float32, isotropic, axes R, A, S of its world; 0 outside the brain where it is
            registered to the atlas.
        brain: Boolean array of its shape.
    """

    image: Volume
    brain: NDArray[np.bool_]

    @property
    def centre_mm(self) -> NDArray[np.float64]:
        """Centre of mass of the brain in world mm, shape (3,)."""
        points = apply_affine(self.image.affine, np.argwhere(self.brain))
        return np.asarray(points.mean(axis=0), dtype=np.float64)

    @property
    def brain_ml(self) -> float:
        """Volume of the brain in mL."""
        return float(self.brain.sum()) * self.image.voxel_volume_ml


@dataclass(frozen=True, eq=False)
class AtlasView:
    """The atlas on SRI24's grid at `WORKING_MM`; tissues are shares in [0, 1], None if unknown."""

    name: str
    frame: Frame
    grey: NDArray[np.float32] | None
    white: NDArray[np.float32] | None
    csf: NDArray[np.float32] | None

    @property
    def grid(self) -> Grid:
        """The grid of all its images."""
        return Grid(self.frame.image.shape, self.frame.image.affine)


def frame_of(flair: Volume, brain: NDArray[np.bool_]) -> Frame:
    """Resample the brain of a native scan to its working grid and correct its bias field.

    Args:
        flair: Native scan, in any orientation.
        brain: Its brain on the same voxels, not empty.
    """
    near = bounding_box(brain, margin=2)
    affine = corner(flair.affine, near)
    grid = working_grid(Volume(brain[near], affine), WORKING_MM)
    share = resample_to_grid(Volume(brain[near].astype(np.float32), affine), grid)
    inside = share.data >= 0.5
    if not inside.any():  # A brain thinner than the working voxels.
        inside = share.data == share.data.max()
    image = resample_to_grid(Volume(np.where(brain, flair.data, 0)[near], affine), grid)
    plain = np.where(inside, image.data / np.maximum(share.data, 0.5), 0).astype(np.float32)
    box = bounding_box(inside, margin=_MARGIN)
    scan = Volume(plain, grid.affine).crop(box)
    even = correct_bias_field(scan, inside[box])
    return Frame(even.with_data(_levelled(even.data, inside[box])), inside[box])


def _levelled(image: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scale the 1st and 99th percentile to 0.05 and 1.05, clip there; 0 outside the brain.

    The background is then the darkest value, as in the atlas, even where a scan was z-scored.
    """
    low, high = np.percentile(image[brain], (1.0, 99.0))
    level = np.clip((image - low) / max(float(high - low), 1e-9), 0.0, 1.0) + 0.05
    return np.where(brain, level, 0.0).astype(np.float32)


@lru_cache(maxsize=2)
def view_of(atlas: Atlas) -> AtlasView:
    """Resample the atlas to the grid that registrations use; cached in the process."""
    grid = sri24_grid(WORKING_MM)

    # All images are 0 outside the brain, and the margin holds what smoothing spreads.
    box = bounding_box(atlas.brain, margin=_MARGIN)

    def at_view(data: NDArray[np.generic]) -> NDArray[np.float32]:
        volume = Volume(data, atlas.image.affine).crop(box)
        carried: NDArray[np.float32] = resample_to_grid(volume, grid).data
        return carried

    brain = at_view(atlas.brain) >= 0.5
    image = np.where(brain, at_view(atlas.image.data), 0).astype(np.float32)
    tissues = (None if t is None else at_view(t) for t in (atlas.grey, atlas.white, atlas.csf))
    return AtlasView(atlas.name, Frame(Volume(image, grid.affine), brain), *tissues)


@dataclass(frozen=True, eq=False)
class AlignedScan:
    """A scan and the atlas on one grid.

    Attributes:
        scan: The scan's brain, 0 outside it, float32.
        brain: Its brain mask.
        atlas: The atlas, on the same grid.
        atlas_from_native: 4×4 matrix from native to atlas world, mm.
    """

    scan: NDArray[np.float32]
    brain: NDArray[np.bool_]
    atlas: AtlasView
    atlas_from_native: Affine


def align(moving: Frame, atlas: AtlasView, native_from_atlas: Affine) -> AlignedScan:
    """Resample a scan to the atlas grid, by a matrix from atlas world to native world."""
    to_native = native_from_atlas @ atlas.grid.affine
    share = carried(moving.brain, moving.image.affine, to_native, atlas.grid.shape)
    brain = share >= 0.5
    image = carried(moving.image.data, moving.image.affine, to_native, atlas.grid.shape)
    scan = np.where(brain, image / np.maximum(share, 0.5), 0).astype(np.float32)
    return AlignedScan(scan, brain, atlas, inverse(native_from_atlas))


def carried(
    data: NDArray[Any], affine: Affine, world_from_target: Affine, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Resample an array to another grid; `world_from_target` maps that grid to its own world."""
    return resample(data, index_map(affine, world_from_target), shape)
