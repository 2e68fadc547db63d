"""`Placement`: the affines between a stored brain box, the atlas and the native scan.

They are sufficient to resample anything back to the native grid of the patient, which
`plgg.preprocess` does.
"""

from __future__ import annotations

import math
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from plgg.core.volume import Affine, spacing_mm

Rows = tuple[tuple[float, ...], ...]
Side = Annotated[int, Field(ge=1, le=65_535)]
Shape = tuple[Side, Side, Side]
_MOST_VOXELS = 2**31
# Smallest determinant of an invertible affine: the volume of a voxel, or a scaling of volumes.
_LEAST_DETERMINANT = 1e-9
# Largest coefficient of an affine, in mm: ten kilometres.
_LARGEST = 1e7


def _is_affine(rows: Rows) -> Rows:
    if len(rows) != 4 or any(len(row) != 4 for row in rows) or rows[3] != (0.0, 0.0, 0.0, 1.0):
        raise ValueError("is not an affine of 4 × 4 numbers")
    if max(abs(value) for row in rows for value in row) > _LARGEST:
        raise ValueError("leads farther than any scanner")
    size = abs(float(np.linalg.det(np.array(rows)[:3, :3])))
    if not _LEAST_DETERMINANT < size < 1 / _LEAST_DETERMINANT:
        raise ValueError("is an affine without an inverse")
    return rows


def _is_small(shape: Shape) -> Shape:
    if math.prod(shape) > _MOST_VOXELS:
        raise ValueError("has more voxels than any scan")
    return shape


AffineRows = Annotated[Rows, AfterValidator(_is_affine)]
BoundedShape = Annotated[Shape, AfterValidator(_is_small)]


class Placement(BaseModel):
    """Two grids and the map between their worlds.

    Attributes:
        native_shape: Voxels of the native scan.
        native_affine: Its affine (voxel → native world, mm).
        box_shape: Voxels of the stored brain box.
        box_affine: Its affine (voxel → atlas world, mm).
        native_to_atlas: 4×4 matrix from native world to atlas world.
        method: How `native_to_atlas` was found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    native_shape: BoundedShape
    native_affine: AffineRows
    box_shape: BoundedShape
    box_affine: AffineRows
    native_to_atlas: AffineRows
    method: str

    @model_validator(mode="after")
    def _can_be_undone(self) -> Self:
        try:
            there_and_back = self.box_from_native() @ self.native_from_box()
        except np.linalg.LinAlgError as error:
            raise ValueError("its maps have no inverse") from error
        if not np.allclose(there_and_back, np.eye(4), atol=1e-6):
            raise ValueError("its maps have no inverse")
        return self

    def native_from_box(self) -> Affine:
        """4×4 matrix from box voxel indices to native voxel indices."""
        to_atlas = np.array(self.native_to_atlas) @ np.array(self.native_affine)
        return np.asarray(np.linalg.solve(to_atlas, np.array(self.box_affine)), dtype=np.float64)

    @property
    def slice_mm(self) -> float:
        """Distance of the box's slices (its last axis) in the world of the native scan."""
        return float(self.native_spacing_mm[2])

    @property
    def native_spacing_mm(self) -> NDArray[np.float64]:
        """Voxel size of the box along each axis in the world of the native scan, shape (3,)."""
        return spacing_mm(self._native_world_from_box())

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of the box's voxels along its axes in the world of the native scan."""
        i, j, k = np.linalg.norm(self._native_world_from_box()[:3, :3], axis=0).tolist()
        return i, j, k

    @property
    def box_voxel_ml(self) -> float:
        """Volume of a voxel of the box in the world of the native scan, in mL."""
        return abs(float(np.linalg.det(self._native_world_from_box()[:3, :3]))) / 1000.0

    def _native_world_from_box(self) -> Affine:
        return np.asarray(np.array(self.native_affine) @ self.native_from_box(), dtype=np.float64)

    def box_from_native(self) -> Affine:
        """4×4 matrix from native voxel indices to box voxel indices."""
        return np.asarray(np.linalg.inv(self.native_from_box()), dtype=np.float64)


def as_rows(matrix: Affine) -> Rows:
    """A matrix as nested tuples, the form that is frozen and goes into JSON."""
    return tuple(tuple(float(value) for value in row) for row in matrix)
