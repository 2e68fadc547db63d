"""What a registration looks at: the scan's brain and the atlas, each on its own 2 mm grid.

2 mm is enough: on eight clinical scans it gave the overlap of 1 mm at an eighth of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from plgg.io.atlas import Atlas
from plgg.preprocess.bias import without_bias
from plgg.preprocess.brain import bounding_box
from plgg.preprocess.grid import Grid, sri24_grid
from plgg.preprocess.working import onto, working_grid
from plgg.volume import Affine, Volume, apply_affine

WORKING_MM = 2.0
_MARGIN = 4


@dataclass(frozen=True, eq=False)
class Frame:
    """One brain to be moved: its image is 0 outside it.

    Attributes:
        image: float32, isotropic, axes R, A, S of the native world.
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
        """The grid that all of it lies on."""
        return Grid(self.frame.image.shape, self.frame.image.affine)


def frame_of(flair: Volume, brain: NDArray[np.bool_]) -> Frame:
    """The brain of a native scan on its working grid, its bias field taken out.

    Args:
        flair: Native scan, however it lies.
        brain: Its brain on the same voxels, not empty.
    """
    near = bounding_box(brain, margin=2)
    affine = corner(flair.affine, near)
    grid = working_grid(Volume(brain[near], affine), WORKING_MM)
    share = onto(Volume(brain[near].astype(np.float32), affine), grid)
    inside = share.data >= 0.5
    if not inside.any():  # A brain thinner than the working voxels.
        inside = share.data == share.data.max()
    image = onto(Volume(np.where(brain, flair.data, 0)[near], affine), grid)
    plain = np.where(inside, image.data / np.maximum(share.data, 0.5), 0).astype(np.float32)
    box = bounding_box(inside, margin=_MARGIN)
    scan = Volume(plain[box], corner(grid.affine, box))
    even = without_bias(scan, inside[box])
    return Frame(even.with_data(_levelled(even.data, inside[box])), inside[box])


def _levelled(image: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Intensities between their 1st and 99th percentile as 0.05 to 1.05, and 0 outside the brain.

    The background is then the darkest value, as in the atlas, even where a scan was z-scored.
    """
    low, high = np.percentile(image[brain], (1.0, 99.0))
    level = np.clip((image - low) / max(float(high - low), 1e-9), 0.0, 1.0) + 0.05
    return np.where(brain, level, 0.0).astype(np.float32)


@lru_cache(maxsize=2)
def view_of(atlas: Atlas) -> AtlasView:
    """The atlas as registrations look at it; made once a process."""
    grid = sri24_grid(WORKING_MM)

    def at_view(data: NDArray[np.generic]) -> NDArray[np.float32]:
        volume = Volume(np.asarray(data, dtype=np.float32), atlas.image.affine)
        carried: NDArray[np.float32] = onto(volume, grid).data
        return carried

    brain = at_view(atlas.brain) >= 0.5
    image = np.where(brain, at_view(atlas.image.data), 0).astype(np.float32)
    tissues = (None if t is None else at_view(t) for t in (atlas.grey, atlas.white, atlas.csf))
    return AtlasView(atlas.name, Frame(Volume(image, grid.affine), brain), *tissues)


def corner(affine: Affine, box: tuple[slice, slice, slice]) -> Affine:
    """The affine of an array cropped to a box."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return moved
