"""`Panels`: what a QC picture shows, and how three planes are cut from it and made grey.

All of it lies on one grid whose axes run to the patient's Left, Posterior and Superior. Knows
nothing of figures, and does not judge what it cuts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.preprocess.brain import Box, bounding_box
from plgg.preprocess.working import working_image
from plgg.volume import Affine, Volume, apply_affine

# Axis that is cut, its name, and what lies left, right and on top of the picture (radiological).
PLANES = ((2, "axial", "RLA"), (1, "coronal", "RLS"), (0, "sagittal", "APS"))
Cuts = tuple[int, int, int]
Window = tuple[float, float]
# A percentile needs no more voxels than these.
_ENOUGH = 200_000
# Skin and skull are shown as far as this from the brains: enough to see whether a skull is on.
_MARGIN_MM = 14.0
# A native scan is drawn with so many voxels along its longest side.
_FINEST = 160


@dataclass(frozen=True, eq=False)
class Panels:
    """A scan and the atlas on one atlas-space grid of shape (I, J, K), axes to L, P, S.

    Attributes:
        scan: The scan carried to the grid, any intensity, skull and all where there is one.
        brain: The scan's brain there.
        tumour: The tumour's mask there; None where unknown.
        atlas: The atlas image.
        atlas_brain: Its brain.
        spacing_mm: Isotropic voxel size.
    """

    scan: NDArray[np.float32]
    brain: NDArray[np.bool_]
    tumour: NDArray[np.bool_] | None
    atlas: NDArray[np.float32]
    atlas_brain: NDArray[np.bool_]
    spacing_mm: float


def shown(panels: Panels) -> Panels:
    """The part worth seeing: both brains and some skin. Of the same arrays, nothing is copied."""
    either = panels.brain | panels.atlas_brain
    margin = round(_MARGIN_MM / panels.spacing_mm)
    box = bounding_box(either, margin=margin) if either.any() else (slice(None),) * 3
    return Panels(
        scan=panels.scan[box],
        brain=panels.brain[box],
        tumour=_cropped(panels.tumour, box),
        atlas=panels.atlas[box],
        atlas_brain=panels.atlas_brain[box],
        spacing_mm=panels.spacing_mm,
    )


def _cropped(mask: NDArray[np.bool_] | None, box: Box) -> NDArray[np.bool_] | None:
    return None if mask is None or not mask[box].any() else mask[box]


def cuts_of(panels: Panels) -> Cuts:
    """Voxel that all planes pass: the tumour's centre of mass, or else a brain's."""
    masks = (panels.tumour, panels.brain, panels.atlas_brain)
    return centre(next((m for m in masks if m is not None and m.any()), panels.brain))


def centre(weight: NDArray[Any]) -> Cuts:
    """Centre of mass in whole voxels; the middle of the array where it is all zero."""
    found = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        mass = weight.sum(axis=others, dtype=np.float64)
        at = np.average(np.arange(mass.size), weights=mass) if mass.sum() > 0 else mass.size // 2
        found.append(min(round(float(at)), mass.size - 1))
    return found[0], found[1], found[2]


def plane(data: NDArray[Any], axis: int, cuts: Cuts) -> NDArray[Any]:
    """One plane as an image: the patient's left on its right, front or top up."""
    cut: NDArray[Any] = np.take(data, cuts[axis], axis=axis).T
    return cut if axis == 2 else cut[::-1]


def window(data: NDArray[Any], where: NDArray[np.bool_]) -> Window:
    """1st and 99.5th percentile of a part of an image.

    Args:
        data: Array of any contents.
        where: The part, of the same shape; if it holds nothing finite, all of `data` counts.
    """
    step = max(1, round((data.size / _ENOUGH) ** (1 / 3)))
    some = (slice(None, None, step),) * 3
    few, there = (data[some], where[some]) if where[some].any() else (data, where)
    known = np.isfinite(few)
    part = few[known & there] if (known & there).any() else few[known]
    if part.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(part.astype(np.float64), (1.0, 99.5))
    return float(low), float(high)


def grey(data: NDArray[Any], where: NDArray[np.bool_], ends: Window) -> NDArray[np.float32]:
    """Intensities as grey levels from 0 to 1; whatever they are, something can be drawn.

    What is no number is black, and so is what is exactly 0 outside the part: a z-scored scan has
    darker voxels than its background.

    Args:
        data: An image or a plane of one.
        where: The part that `ends` were taken from, of the same shape.
        ends: What is to be black and what white.
    """
    low, high = ends
    known = np.isfinite(data)
    filled = np.where(known, data, low).astype(np.float64)
    level = (filled - low) / (high - low) if high > low else np.full(data.shape, 0.5)
    level[~known | ((data == 0) & ~where)] = 0.0
    return np.clip(level, 0.0, 1.0).astype(np.float32)


def upright(volume: Volume) -> NDArray[np.float32]:
    """A native scan as grey levels on an isotropic grid with axes to L, P, S; coarse and quick.

    Any orientation, affine and contents will do.
    """
    corners = np.array(np.meshgrid(*[(0, n) for n in volume.shape])).reshape(3, -1).T
    extent_mm = np.ptp(apply_affine(volume.affine, corners), axis=0)
    target_mm = float(extent_mm.max()) / _FINEST
    thin = _thinned(volume, target_mm)
    content = np.asarray(thin.data != 0, dtype=np.bool_)
    level = grey(thin.data, content, window(thin.data, content))
    image: NDArray[np.float32] = working_image(thin.with_data(level), target_mm).data[::-1, ::-1]
    return image


def _thinned(volume: Volume, target_mm: float) -> Volume:
    """Every so many voxels, where they are much finer than what they are drawn with."""
    steps = [max(1, int(target_mm / spacing)) for spacing in volume.spacing_mm]
    i, j, k = (slice(None, None, step) for step in steps)
    affine: Affine = volume.affine @ np.diag([*steps, 1.0])
    return Volume(volume.data[i, j, k], affine)
