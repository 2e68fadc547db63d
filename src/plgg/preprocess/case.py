"""One scan onto the atlas grid: place, resample once, z-score, crop to the brain.

Reading, checking and storing are done elsewhere; this is arithmetic on `Volume`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.errors import InputError
from plgg.io.codes import encode
from plgg.io.placement import Placement, as_rows
from plgg.preprocess.brain import Box, bounding_box, brain_mask, z_score
from plgg.preprocess.grid import Grid
from plgg.preprocess.place import METHOD, centre_on_atlas
from plgg.preprocess.resample import resample, smooth_for
from plgg.volume import Affine, Volume, spacing_mm

MARGIN = 2
# Share of the brain that may fall outside the atlas' field of view before the scan is refused.
_MOST_CUT = 0.03


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan as the network sees it.

    Attributes:
        image: Coded z-scores of the brain box (see `plgg.io.codes`), int8, shape (I, J, K).
        mask: Tumour on the same grid, uint8; None where unknown.
        placement: What puts anything on this grid back on the native scan.
    """

    image: NDArray[np.int8]
    mask: NDArray[np.uint8] | None
    placement: Placement


def prepare(flair: Volume, mask: Volume | None, grid: Grid) -> Prepared:
    """Bring a skull-stripped FLAIR, and its mask where there is one, onto the atlas grid.

    Args:
        flair: Native scan, 0 outside the brain.
        mask: Tumour mask on the same native grid (> 0 is tumour), or None.
        grid: The atlas grid at the preset's spacing.

    Raises:
        InputError: If the scan is empty or its brain does not lie on the grid.
    """
    brain = brain_mask(flair.data)
    if not brain.any():
        raise InputError("the scan is zero everywhere", remedy="Export it again.")
    to_atlas = centre_on_atlas(brain, flair.affine, grid)
    near = bounding_box(brain, margin=MARGIN)
    path = _Path(near, flair.affine, to_atlas, grid)
    weight = path.carry(brain)
    inside = weight >= 0.5
    _refuse_cut(brain, flair, inside, grid)
    # Dividing by the interpolated brain keeps the zeros outside from darkening its rim.
    carried = path.carry(np.where(brain, flair.data, 0))
    image = np.asarray(carried / np.maximum(weight, 0.5), dtype=np.float32)
    box = bounding_box(inside, margin=MARGIN)
    codes = encode(z_score(image[box], inside[box]), inside[box])
    tumour = None if mask is None else (path.carry(mask.data > 0)[box] >= 0.5).astype(np.uint8)
    placement = Placement(
        native_shape=flair.shape,
        native_affine=as_rows(flair.affine),
        box_shape=codes.shape,
        box_affine=as_rows(_corner(grid.affine, box)),
        native_to_atlas=as_rows(to_atlas),
        method=METHOD,
    )
    return Prepared(codes, tumour, placement)


def _refuse_cut(
    brain: NDArray[np.bool_], flair: Volume, inside: NDArray[np.bool_], grid: Grid
) -> None:
    native_ml = float(brain.sum()) * flair.voxel_volume_ml
    kept_ml = float(inside.sum()) * float(spacing_mm(grid.affine)[0]) ** 3 / 1000.0
    if kept_ml < (1.0 - _MOST_CUT) * native_ml:
        raise InputError(
            f"of {native_ml:.0f} mL of brain only {kept_ml:.0f} mL lie in the atlas' field of view",
            remedy="Check the voxel spacing in the header, and that the skull is stripped.",
        )


@dataclass(frozen=True)
class _Path:
    """The one way from the native grid, near the brain, to the atlas grid."""

    near: Box
    native_affine: Affine
    native_to_atlas: Affine
    grid: Grid

    def carry(self, data: NDArray[np.generic]) -> NDArray[np.float32]:
        """Resample one native array, low-passed against aliasing."""
        affine = _corner(self.native_affine, self.near)
        native_from_grid = np.linalg.inv(self.native_to_atlas @ affine) @ self.grid.affine
        target_mm = float(spacing_mm(self.grid.affine)[0])
        smooth = smooth_for(data[self.near], spacing_mm=spacing_mm(affine), target_mm=target_mm)
        return resample(smooth, native_from_grid, self.grid.shape)


def _corner(affine: Affine, box: Box) -> Affine:
    """The affine of an array cropped to a box."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return moved
