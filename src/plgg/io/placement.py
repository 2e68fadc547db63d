"""`Placement`: where a stored box lies on the atlas grid and how it came from the native scan.

This is all that is needed to put anything back on the patient's own grid. Arithmetic of matrices
only: resampling is done by the room `preprocess`.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from plgg.volume import Affine

Rows = tuple[tuple[float, ...], ...]


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

    model_config = ConfigDict(frozen=True, extra="forbid")

    native_shape: tuple[int, int, int]
    native_affine: Rows
    box_shape: tuple[int, int, int]
    box_affine: Rows
    native_to_atlas: Rows
    method: str

    def native_from_box(self) -> Affine:
        """4×4 matrix from box voxel indices to native voxel indices."""
        to_atlas = np.array(self.native_to_atlas) @ np.array(self.native_affine)
        return np.asarray(np.linalg.solve(to_atlas, np.array(self.box_affine)), dtype=np.float64)

    def box_from_native(self) -> Affine:
        """4×4 matrix from native voxel indices to box voxel indices."""
        return np.asarray(np.linalg.inv(self.native_from_box()), dtype=np.float64)


def as_rows(matrix: Affine) -> Rows:
    """A matrix as nested tuples, the form that is frozen and goes into JSON."""
    return tuple(tuple(float(value) for value in row) for row in matrix)
