"""`Volume`: a 3-D image with its affine; the only image type that modules of plgg exchange.

Axis order is stated here once: `data[i, j, k]` with `affine @ (i, j, k, 1)` in millimetres, in
NIfTI's world (x to the patient's Right, y Anterior, z Superior: RAS+). Voxel centres have integer
indices. Files, the atlas and tensors are handled elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError

Affine = NDArray[np.float64]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D array and the affine that maps its voxel indices to millimetres (RAS+).

    Attributes:
        data: Array of shape (I, J, K), any real dtype.
        affine: 4×4 matrix from voxel indices to world millimetres.

    Raises:
        InputError: If the array is not 3-D or the affine cannot be inverted.
    """

    data: NDArray[Any]
    affine: Affine

    def __post_init__(self) -> None:
        if self.data.ndim != 3:
            raise InputError(f"expected a 3-D image, got shape {self.data.shape}")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise InputError(
                "the affine is not a finite 4×4 matrix", remedy="Mend the header's qform or sform."
            )
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise InputError(
                "the affine cannot be inverted", remedy="Mend the header's qform or sform."
            )
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        i, j, k = self.data.shape
        return i, j, k

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Distance between voxel centres along each axis, in mm."""
        return spacing_mm(self.affine)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000.0)

    def crop(self, box: Box) -> Volume:
        """Crop to a box of voxels, with the affine adapted; the result is contiguous.

        >>> Volume(np.zeros((4, 4, 4)), np.eye(4)).crop((slice(1, 3),) * 3).affine[0, 3]
        1.0
        """
        return Volume(np.ascontiguousarray(self.data[box]), corner(self.affine, box))

    def with_data(self, data: NDArray[Any]) -> Volume:
        """The same grid with other data; the shape must not change."""
        if data.shape != self.data.shape:
            raise InputError(f"shape {data.shape} does not fit the grid {self.data.shape}")
        return replace(self, data=data)


def spacing_mm(affine: Affine) -> NDArray[np.float64]:
    """Length of each voxel axis of an affine, in mm, shape (3,)."""
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0), dtype=np.float64)


def corner(affine: Affine, box: Box) -> Affine:
    """The affine of an array cropped to a box."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return moved


def index_map(source: Affine, target: Affine) -> Affine:
    """4×4 matrix from voxel indices of `target` to those of `source`, two grids of one world."""
    return np.asarray(np.linalg.solve(source, target), dtype=np.float64)


def inverse(matrix: Affine) -> Affine:
    """The 4×4 matrix that undoes another."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def apply_affine(affine: Affine, points: NDArray[Any]) -> NDArray[np.float64]:
    """Map points of shape (..., 3) through a 4×4 affine."""
    mapped = np.asarray(points, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3]
    return np.asarray(mapped, dtype=np.float64)


def same_grid(a: Volume, b: Volume, *, tolerance_mm: float = 0.1) -> bool:
    """Whether two volumes have one shape and all corners within `tolerance_mm` of each other."""
    if a.shape != b.shape:
        return False
    return float(corner_distance_mm(a, b)) <= tolerance_mm


def corner_distance_mm(a: Volume, b: Volume) -> float:
    """Largest distance between the corners of two equally shaped grids, in mm."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in a.shape])).reshape(3, -1).T
    gap = apply_affine(a.affine, corners) - apply_affine(b.affine, corners)
    return float(np.linalg.norm(gap, axis=1).max())
