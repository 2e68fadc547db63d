"""Resample a registered scan once onto its grid, z-score and crop it; and restore arrays.

Registration, reading, checking and storing are elsewhere; this is arithmetic on `Volume`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.config import Label
from plgg.core.errors import InputError
from plgg.core.placement import Placement, as_rows
from plgg.core.volume import Affine, Box, Volume, corner, inverse, spacing_mm
from plgg.data.labels import merge_masks, region
from plgg.data.store_arrays import OUTSIDE, encode
from plgg.preprocess.brain_extraction import bounding_box, z_score
from plgg.preprocess.grid import Grid
from plgg.preprocess.registration.start import AtlasPosition, centred
from plgg.preprocess.resample import resample, smooth_for

MARGIN = 2
_WHOLE: Box = (slice(0, None), slice(0, None), slice(0, None))
# Share of the brain that may fall outside the atlas' field of view before the scan is refused.
_MOST_CUT = 0.03


@dataclass(frozen=True, eq=False)
class MovedSequence:
    """Another sequence and its transform to the reference.

    Attributes:
        scan: On its own native grid.
        reference_from_other: 4×4 matrix from its world to that of the reference, mm.
    """

    scan: Volume
    reference_from_other: Affine


@dataclass(frozen=True, eq=False)
class NormalisedScan:
    """A preprocessed scan, as the store keeps it and the network takes it.

    Attributes:
        image: Coded z-scores of the brain box (`plgg.data.store_arrays`), int8, shape (I, J, K).
        mask: Tumour on the same grid, uint8; None where unknown.
        placement: Geometry, to restore arrays of this grid to the native scan.
        labels: Numbers of the mask's regions on the same grid; None without labels.
        others: Other sequences on the same grid by name, coded likewise, each z-scored by itself.
    """

    image: NDArray[np.int8]
    mask: NDArray[np.uint8] | None
    placement: Placement
    others: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)
    labels: NDArray[np.uint8] | None = None

    def stack_channels(self, channels: Sequence[str], reference: str) -> NDArray[np.int8]:
        """All channels, shape (C, I, J, K); a missing one is `OUTSIDE` everywhere."""
        known = {**self.others, reference: self.image}
        nothing = np.full_like(self.image, OUTSIDE)
        return np.stack([known.get(name, nothing) for name in channels])

    def with_position(self, placed: AtlasPosition) -> NormalisedScan:
        """Slices as acquired, with a position on the atlas that was found later."""
        there = placed.native_to_atlas @ inverse(np.array(self.placement.native_to_atlas))
        update = {
            "box_affine": as_rows(there @ np.array(self.placement.box_affine)),
            "native_to_atlas": as_rows(placed.native_to_atlas),
            "method": placed.method,
        }
        return replace(self, placement=Placement(**{**dict(self.placement), **update}))


def normalise_scan(
    flair: Volume,
    mask: Volume | None,
    grid: Grid,
    placed: AtlasPosition | None = None,
    others: Mapping[str, MovedSequence] | None = None,
    labels: Sequence[Label] = (),
) -> NormalisedScan:
    """Resample a scan, its mask and its other sequences, where there are any, onto one grid.

    Args:
        flair: Native scan, the reference.
        mask: Tumour mask on the same native grid (> 0 is tumour), or None; where there are labels
            the numbers of their regions (`plgg.data.labels`).
        grid: Target grid, in the atlas' world; for slices as acquired, in the scan's world.
        placed: Its brain and position on the atlas; by default the scan counts as stripped, and
            its brain's centre is put on the atlas brain's.
        others: Other sequences by name, each with its transform to the reference's world.
        labels: Regions of the mask. Each is resampled by itself, so that nested ones stay nested.

    Raises:
        InputError: If the scan is empty or its brain does not lie on the grid.
    """
    placed = placed or centred(flair, grid)
    brain, to_atlas = placed.brain, placed.native_to_atlas
    # Slices as acquired are resampled in the scan's world, independently of the registration.
    to_grid, from_grid = (np.eye(4), to_atlas) if grid.along_scan else (to_atlas, np.eye(4))
    near = bounding_box(brain, margin=MARGIN)
    path = _Path(near, flair.affine, to_grid, grid)
    weight = path.carry(brain)
    inside = weight >= 0.5
    _refuse_cut(_native_ml(brain, flair, to_grid), inside, grid)
    # Dividing by the interpolated brain keeps the zeros outside from darkening its rim.
    carried = path.carry(np.where(brain, flair.data, 0))
    image = np.asarray(carried / np.maximum(weight, 0.5), dtype=np.float32)
    box = _WHOLE if grid.along_scan else bounding_box(inside, margin=MARGIN)
    codes = encode(z_score(image[box], inside[box]), inside[box])
    tumour = None if mask is None else (path.carry(mask.data > 0)[box] >= 0.5).astype(np.uint8)
    placement = Placement(
        native_shape=flair.shape,
        native_affine=as_rows(flair.affine),
        box_shape=codes.shape,
        box_affine=as_rows(from_grid @ corner(grid.affine, box)),
        native_to_atlas=as_rows(to_atlas),
        method=placed.method,
    )
    carried_others = {
        name: _other(moved, to_grid, grid, inside, box) for name, moved in (others or {}).items()
    }
    numbers = None if mask is None or not labels else _regions(path, mask, labels, box)
    return NormalisedScan(codes, tumour, placement, carried_others, numbers)


def _regions(path: _Path, mask: Volume, labels: Sequence[Label], box: Box) -> NDArray[np.uint8]:
    """Resample the regions of a mask, each by itself, and combine them to region numbers."""
    masks = [path.carry(region(mask.data, labels, n))[box] >= 0.5 for n in range(len(labels))]
    return merge_masks(masks, labels)


def _other(
    moved: MovedSequence, to_grid: Affine, grid: Grid, inside: NDArray[np.bool_], box: Box
) -> NDArray[np.int8]:
    """Resample and code another sequence; beyond its field of view it is `OUTSIDE`."""
    path = _Path(_WHOLE, moved.scan.affine, to_grid @ moved.reference_from_other, grid)
    seen = path.carry(np.ones(moved.scan.shape, dtype=np.float32)) >= 0.5
    brain = (inside & seen)[box]
    if not brain.any():
        return np.full(brain.shape, OUTSIDE, dtype=np.int8)
    return encode(z_score(path.carry(moved.scan.data)[box], brain), brain)


def _native_ml(brain: NDArray[np.bool_], flair: Volume, to_grid: Affine) -> float:
    """Volume of the native brain at the grid's scale, in mL."""
    return float(brain.sum()) * flair.voxel_volume_ml * float(np.linalg.det(to_grid[:3, :3]))


def _refuse_cut(native_ml: float, inside: NDArray[np.bool_], grid: Grid) -> None:
    kept_ml = float(inside.sum()) * abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000.0
    if kept_ml < (1.0 - _MOST_CUT) * native_ml:
        raise InputError(
            f"of {native_ml:.0f} mL of brain only {kept_ml:.0f} mL lie in the atlas' field of view",
            remedy="Check the voxel spacing in the header, and that the skull is stripped.",
        )


@dataclass(frozen=True)
class _Path:
    """Resampling from the native grid, cropped near the brain, to the target grid."""

    near: Box
    native_affine: Affine
    to_grid: Affine
    grid: Grid

    def _target_mm(
        self, native_from_grid: Affine, native_mm: NDArray[np.float64]
    ) -> float | NDArray[np.float64]:
        """Voxel size of the grid; for slices as acquired, its step along each axis of the scan."""
        if not self.grid.along_scan:
            return float(spacing_mm(self.grid.affine)[0])
        steps = np.abs(native_from_grid[:3, :3]).max(axis=1)
        return np.asarray(steps * native_mm, dtype=np.float64)

    def carry(self, data: NDArray[np.generic]) -> NDArray[np.float32]:
        """Resample one native array, low-passed against aliasing."""
        affine = corner(self.native_affine, self.near)
        native_from_grid = np.linalg.inv(self.to_grid @ affine) @ self.grid.affine
        target_mm = self._target_mm(native_from_grid, spacing_mm(affine))
        smooth = smooth_for(data[self.near], spacing_mm=spacing_mm(affine), target_mm=target_mm)
        return resample(smooth, native_from_grid, self.grid.shape)


def restore(data: NDArray[Any], placement: Placement) -> Volume:
    """Put an array of the brain box on the native grid, by linear interpolation; 0 outside.

    Args:
        data: Array of shape `placement.box_shape`, such as tumour probabilities.
        placement: As made when the scan was prepared.

    Returns:
        float32 volume with the native shape and affine.
    """
    native = resample(data, placement.box_from_native(), placement.native_shape)
    return Volume(native, np.array(placement.native_affine))
