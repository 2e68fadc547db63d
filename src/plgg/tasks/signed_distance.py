"""The signed distance to the tumour's boundary, a regression in each voxel of a patch.

To predict distances a network must learn the shape as a whole. As an auxiliary task: S. Dangi,
C. Linte, Z. Yaniv, A distance map regularized CNN for cardiac cine MR image segmentation, Medical
Physics 46, 2019; F. Navarro and others, Shape-aware complementary-task learning for multi-organ
segmentation, MLMI 2019. Sign and scale are those of Y. Xue and others, Shape-aware organ
segmentation by predicting signed distance maps, AAAI 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from plgg.tasks.mask_task import MaskTask, Spacing

REACH_MM = 10.0
"""Distance at which the target is clipped."""


def signed_distance(
    mask: NDArray[np.float32] | NDArray[np.bool_],
    spacing_mm: Sequence[float],
    reach_mm: float = REACH_MM,
) -> NDArray[np.float32]:
    """Distance to the outline over the reach: -1 deep inside, 1 far outside, 0 between.

    Measured in mm from the centre of a voxel to that of the nearest voxel on the other side of the
    boundary, within the array; voxels beyond its borders do not count.

    Args:
        mask: Tumour, shape (I, J, K).
        spacing_mm: Of its voxels, which need not be cubes.
        reach_mm: Where it is clipped, and what 1 stands for.

    >>> line = np.array([0, 0, 1, 1, 1, 0]).reshape(6, 1, 1)
    >>> signed_distance(line > 0, (2.0, 1.0, 1.0)).ravel()
    array([ 0.4,  0.2, -0.2, -0.4, -0.2,  0.2], dtype=float32)
    """
    inside = np.asarray(mask, dtype=np.float32) > 0.5
    found = np.full(inside.shape, -1.0 if inside.all() else 1.0, dtype=np.float32)
    if inside.any() and not inside.all():
        box = _within_reach(inside, spacing_mm, reach_mm)
        part = inside[box]
        outside_mm = distance_transform_edt(~part, sampling=spacing_mm)
        inside_mm = distance_transform_edt(part, sampling=spacing_mm)
        found[box] = np.clip((outside_mm - inside_mm) / reach_mm, -1.0, 1.0)
    return found


def _within_reach(
    inside: NDArray[np.bool_], spacing_mm: Sequence[float], reach_mm: float
) -> tuple[slice, ...]:
    """Box around the tumour; all voxels outside it are farther away than the reach."""
    box = []
    for axis, step in enumerate(spacing_mm):
        others = tuple(other for other in range(inside.ndim) if other != axis)
        there = np.flatnonzero(inside.any(axis=others))
        # One voxel more, so that a tumour never fills its box unless it fills the array's side.
        margin = math.ceil(reach_mm / step) + 1
        box.append(slice(max(0, int(there[0]) - margin), int(there[-1]) + margin + 1))
    return tuple(box)


class SignedDistance(MaskTask):
    """Signed distance to the tumour's boundary, with squared error.

    Few voxels are near the boundary, so voxels within reach and voxels beyond it have half of the
    loss each. Distances are measured within the patch: in 2-D for a patch of one slice, else in
    3-D.
    """

    kind: ClassVar[str] = "signed_distance"
    reads = "decoded"

    def mask_target(self, mask: NDArray[np.float32], spacing_mm: Spacing) -> NDArray[np.float32]:
        """Shape (1, I, J, K), from -1 to 1."""
        return signed_distance(mask, spacing_mm)[None]

    def losses(
        self, output: Float[Tensor, "batch 1 i j k"], value: Float[Tensor, "batch 1 i j k"]
    ) -> Float[Tensor, " batch"]:
        """Mean of the squared errors near the boundary and far from it; of one, if that is all."""
        error = (output - value).square().flatten(1)
        near = (value.abs() < 1.0).flatten(1).to(error.dtype)
        far = 1.0 - near
        parts = [(error * of).sum(1) / of.sum(1).clamp(min=1.0) for of in (near, far)]
        there = sum((of.sum(1) > 0).to(error.dtype) for of in (near, far))
        return (parts[0] + parts[1]) / there
