"""Is the map to the atlas one between two heads? Its scales, shear and rotation."""

from __future__ import annotations

import numpy as np

from plgg.io.quality import Verdict
from plgg.preprocess.gates.limits import Limits, at_most
from plgg.volume import Affine

# Spread of adult and of children's heads to the atlas, and of spacings that were estimated.
SCALE = Limits((0.62, 1.50), (0.55, 1.80))
SHEAR = at_most(1.45, 1.60)
ROTATION = at_most(30.0, 45.0, "°")


def scale(atlas_from_native: Affine) -> Verdict:
    """Singular values of the linear part: how much the brain is stretched along three axes."""
    stretches = np.linalg.svd(atlas_from_native[:3, :3], compute_uv=False)
    odd = float(max(stretches, key=lambda value: abs(np.log(value))))
    return Verdict(
        gate="scale",
        status=SCALE.status(odd),
        value=round(odd, 4),
        limits=SCALE.words(),
        message=f"the brain had to be scaled by {odd:.2f} along one direction",
        remedy="Check the voxel size in the header; a blown-up registration looks the same.",
    )


def shear(atlas_from_native: Affine) -> Verdict:
    """Ratio of the largest to the smallest singular value: how unevenly it is stretched."""
    stretches = np.linalg.svd(atlas_from_native[:3, :3], compute_uv=False)
    ratio = float(stretches[0] / stretches[2])
    return Verdict(
        gate="shear",
        status=SHEAR.status(ratio),
        value=round(ratio, 4),
        limits=SHEAR.words(),
        message=f"the brain had to be stretched {ratio:.2f} times more one way than another",
        remedy="Check the slice spacing in the header, and that the whole brain is in the scan.",
    )


def rotation(atlas_from_native: Affine) -> Verdict:
    """Angle of the rotation nearest to the linear part (polar decomposition)."""
    left, _, right = np.linalg.svd(atlas_from_native[:3, :3])
    nearest = left @ right
    angle = float(np.degrees(np.arccos(np.clip((np.trace(nearest) - 1.0) / 2.0, -1.0, 1.0))))
    mirrored = np.linalg.det(atlas_from_native[:3, :3]) < 0
    turn = "is mirrored" if mirrored else f"is turned by {angle:.0f}°"
    return Verdict(
        gate="rotation",
        status="failed" if mirrored else ROTATION.status(angle),
        value=round(angle, 2),
        limits=ROTATION.words(),
        message=f"the head {turn} against what the header says",
        remedy="Check the orientation in the header: convert the scan from DICOM again.",
    )
