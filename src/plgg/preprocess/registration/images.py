"""`Volume` as a SimpleITK image with its place in the world, which is LPS there."""

from __future__ import annotations

from typing import Literal

import numpy as np
import SimpleITK as sitk

from plgg.volume import Affine, Volume

Model = Literal["rigid", "similarity", "affine"]
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def as_image(volume: Volume) -> sitk.Image:
    """A float32 image whose world is LPS; the affine must not be sheared.

    Working images never are, and starts only turn, move and scale them.
    """
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data.T, dtype=np.float32))
    lps = _LPS @ volume.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def turned(matrix: Affine) -> Affine:
    """A matrix between LPS worlds as one between RAS worlds, or the other way: it is the same."""
    return np.asarray(_LPS @ matrix @ _LPS, dtype=np.float64)
