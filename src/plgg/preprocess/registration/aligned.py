"""What a registration looks like: the scan carried onto the atlas' 2 mm grid.

The gates judge this and nothing else, so that they judge what a person would see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.preprocess.registration.frame import AtlasView, Frame
from plgg.preprocess.resample import resample
from plgg.volume import Affine, index_map, inverse


@dataclass(frozen=True, eq=False)
class Aligned:
    """A scan and the atlas on one grid.

    Attributes:
        scan: The scan's brain, 0 outside it, float32.
        brain: Where it is.
        atlas: The atlas, on the same grid.
        atlas_from_native: 4×4 matrix from native to atlas world, mm.
    """

    scan: NDArray[np.float32]
    brain: NDArray[np.bool_]
    atlas: AtlasView
    atlas_from_native: Affine


def align(moving: Frame, atlas: AtlasView, native_from_atlas: Affine) -> Aligned:
    """Carry a scan to the atlas through a matrix from atlas world to native world."""
    to_native = native_from_atlas @ atlas.grid.affine
    share = carried(moving.brain, moving.image.affine, to_native, atlas.grid.shape)
    brain = share >= 0.5
    image = carried(moving.image.data, moving.image.affine, to_native, atlas.grid.shape)
    scan = np.where(brain, image / np.maximum(share, 0.5), 0).astype(np.float32)
    return Aligned(scan, brain, atlas, inverse(native_from_atlas))


def carried(
    data: NDArray[Any], affine: Affine, world_from_target: Affine, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """An array with its affine at the voxels of another grid, whose affine leads to its world."""
    return resample(data, index_map(affine, world_from_target), shape)
