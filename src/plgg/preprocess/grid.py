"""The grid of the SRI24 atlas, 240×240×155 mm, at any isotropic spacing.

Knows the atlas' field of view and where its brain lies, not what it looks like.
"""

from __future__ import annotations

from dataclasses import dataclass

from plgg.io.sri24 import layout
from plgg.volume import Affine


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid: shape (I, J, K) and voxel → world affine in mm."""

    shape: tuple[int, int, int]
    affine: Affine


def sri24_grid(spacing_mm: float) -> Grid:
    """The SRI24 field of view at a spacing; the outer edges of the first voxels stay in place.

    At 1 mm this is the atlas' own grid, at 2 mm 120×120×78.
    """
    return Grid(*layout(spacing_mm))
