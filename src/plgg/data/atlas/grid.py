"""The SRI24 grid (Rohlfing et al. 2010), and resampling of an image to it.

Also checks whether a brain is in SRI24's space at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.resample import resample
from plgg.core.volume import Affine, Volume, apply_affine

Box = tuple[slice, slice, slice]

_COINCIDES_VOXELS = 0.01
_MOST_OFF_CENTRE_MM = 30.0
_BRAIN_ML = (800.0, 2200.0)


def resample_to_sri24(volume: Volume) -> NDArray[np.float32]:
    """An image on SRI24's grid, 0 beyond its own field of view.

    Where its voxels are those of the grid, flipped, turned or shifted by whole voxels, they are
    copied and nothing is interpolated; else linearly.

    Returns:
        float32 of shape (240, 240, 155).
    """
    steps = np.linalg.solve(volume.affine, AFFINE)
    whole = np.rint(steps)
    far = np.abs(steps - whole) @ [*SHAPE, 1]
    if far.max() < _COINCIDES_VOXELS and _only_permutes_axes(whole[:3, :3]):
        return _copied(volume.data, whole.astype(int))
    return _interpolated(volume)


def box_of(inside: NDArray[np.bool_], affine: Affine) -> Box:
    """Bounding box on SRI24's grid of the voxels that are `inside`, with an interpolation margin.

    Args:
        inside: Boolean array, not empty.
        affine: 4×4 matrix from its indices to SRI24's world, in mm.
    """
    ends = [
        np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]] + (-1, 1)
        for axis in range(3)
    ]
    corners = np.array(np.meshgrid(*ends)).reshape(3, -1).T
    to_grid = np.asarray(np.linalg.solve(AFFINE, affine), dtype=np.float64)
    seen = apply_affine(to_grid, corners)
    low = np.clip(np.floor(seen.min(axis=0)).astype(int), 0, SHAPE)
    high = np.clip(np.ceil(seen.max(axis=0)).astype(int) + 1, low, SHAPE)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k


def grid_part(box: Box) -> tuple[tuple[int, int, int], Affine]:
    """Shape and voxel → world affine of a part of SRI24's grid."""
    affine = AFFINE.copy()
    affine[:3, 3] = apply_affine(AFFINE, np.array([part.start for part in box]))
    i, j, k = (part.stop - part.start for part in box)
    return (i, j, k), affine


def sampled(volume: Volume, box: Box) -> NDArray[np.float32]:
    """Linear interpolation of an image at the voxels of a part of SRI24's grid, 0 beyond it."""
    shape, affine = grid_part(box)
    steps = np.linalg.solve(volume.affine, affine)
    return interpolated(volume.data, np.asarray(steps, dtype=np.float64), shape)


def interpolated(
    data: NDArray[Any], source_from_grid: Affine, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Linear interpolation of an array at the voxels of a grid; 0 beyond its outermost centres.

    The result equals SciPy's to the last bit of float32, because the atlas' hash depends on it.

    Args:
        data: Array of shape (I, J, K).
        source_from_grid: 4×4 matrix from indices of the grid to those of `data`.
        shape: Of the grid.
    """
    found = resample(data, source_from_grid, shape)
    at = np.ogrid[tuple(slice(n) for n in shape)]
    for axis, n in enumerate(data.shape):
        if np.take(data, (0, n - 1), axis=axis).any():  # Else what lies beyond is 0 anyway.
            row = source_from_grid[axis]
            place = row[0] * at[0] + row[1] * at[1] + row[2] * at[2] + row[3]
            found[(place < 0) | (place > n - 1)] = 0
    return found


def pad_to_grid(part: NDArray[Any], box: Box) -> NDArray[np.float32]:
    """Pad a part of SRI24's grid with 0 to the whole grid."""
    whole = np.zeros(SHAPE, dtype=np.float32)
    whole[box] = part
    return whole


def check_place(brain: Volume, where: Path) -> None:
    """Refuse a brain that cannot be one in SRI24's space.

    Args:
        brain: Mask on the voxels of its own file.
        where: That file.

    Raises:
        InputError: If it is empty, more than 30 mm away or not of 800 to 2200 mL.
    """
    inside = np.argwhere(brain.data)
    if not len(inside):
        raise InputError("the atlas is empty", where=where, remedy="Copy or convert it again.")
    centre = apply_affine(brain.affine, inside).mean(axis=0)
    off_mm = float(np.linalg.norm(centre - BRAIN_CENTRE_MM))
    brain_ml = len(inside) * brain.voxel_volume_ml
    if off_mm > _MOST_OFF_CENTRE_MM or not _BRAIN_ML[0] <= brain_ml <= _BRAIN_ML[1]:
        raise InputError(
            f"does not lie in SRI24's space: what is not 0 has {brain_ml:.0f} mL (a brain has "
            f"{_BRAIN_ML[0]:.0f} to {_BRAIN_ML[1]:.0f}) and its centre lies {off_mm:.0f} mm from "
            f"that of SRI24 (at most {_MOST_OFF_CENTRE_MM:.0f})",
            where=where,
            remedy="Give a template without skull that is registered to SRI24.",
        )


def _only_permutes_axes(linear: NDArray[Any]) -> bool:
    """Whether an integer matrix only flips and permutes axes."""
    ones = np.abs(linear)
    return bool((ones.sum(axis=0) == 1).all() and (ones.sum(axis=1) == 1).all())


def _copied(data: NDArray[Any], steps: NDArray[np.int_]) -> NDArray[np.float32]:
    """Copy by index; `steps` maps the grid's indices to those of `data`, in whole voxels."""
    axes = [int(axis) for axis in np.abs(steps[:3, :3]).argmax(axis=0)]
    turned = data.transpose(axes)
    wanted = [
        steps[axis, own] * np.arange(SHAPE[own]) + steps[axis, 3] for own, axis in enumerate(axes)
    ]
    there = [(at >= 0) & (at < n) for at, n in zip(wanted, turned.shape, strict=True)]
    out = np.zeros(SHAPE, dtype=np.float32)
    out[np.ix_(*there)] = turned[np.ix_(*(at[ok] for at, ok in zip(wanted, there, strict=True)))]
    return out


def _interpolated(volume: Volume) -> NDArray[np.float32]:
    inside = volume.data != 0
    box = box_of(inside, volume.affine) if inside.any() else (slice(0, 0),) * 3
    if any(part.start == part.stop for part in box):
        return np.zeros(SHAPE, dtype=np.float32)
    return pad_to_grid(sampled(volume, box), box)


SHAPE = (240, 240, 155)
# 1 mm; array axes run to the patient's Left, Posterior and Superior.
AFFINE: Affine = np.array([[-1.0, 0, 0, 0], [0, -1.0, 0, 239.0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
# Centre of mass of its brain (tissues > 0), in world mm.
BRAIN_CENTRE_MM = np.array([-118.8, 104.3, 77.0])


def grid_at_spacing(spacing_mm: float) -> tuple[tuple[int, int, int], Affine]:
    """Shape and affine of the field of view at an isotropic spacing.

    The outer edges of the first voxels stay in place: at 1 mm it is the atlas' own grid, at 2 mm
    120×120×78.
    """
    i, j, k = (int(np.ceil(n / spacing_mm)) for n in SHAPE)
    scale = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    scale[:3, 3] = (spacing_mm - 1.0) / 2.0
    return (i, j, k), np.asarray(AFFINE @ scale, dtype=np.float64)
