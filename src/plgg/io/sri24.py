"""The SRI24 atlas in numbers (Rohlfing et al. 2010), laid out as in BraTS. No image of it."""

from __future__ import annotations

import numpy as np

from plgg.volume import Affine

SHAPE = (240, 240, 155)
# 1 mm; array axes run to the patient's Left, Posterior and Superior.
AFFINE: Affine = np.array([[-1.0, 0, 0, 0], [0, -1.0, 0, 239.0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
# Centre of mass of its brain (tissues > 0), in world mm.
BRAIN_CENTRE_MM = np.array([-118.8, 104.3, 77.0])


def layout(spacing_mm: float) -> tuple[tuple[int, int, int], Affine]:
    """Shape and affine of the field of view at an isotropic spacing.

    The outer edges of the first voxels stay in place: at 1 mm it is the atlas' own grid, at 2 mm
    120×120×78.
    """
    i, j, k = (int(np.ceil(n / spacing_mm)) for n in SHAPE)
    scale = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    scale[:3, 3] = (spacing_mm - 1.0) / 2.0
    return (i, j, k), np.asarray(AFFINE @ scale, dtype=np.float64)
