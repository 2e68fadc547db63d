"""Gates on a registration: overlap, mutual information, transform, orientation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plgg.core.volume import Affine, corner
from plgg.data.quality import Status, Verdict
from plgg.preprocess.brain_extraction import bounding_box
from plgg.preprocess.gates.limits import Limits, at_least, at_most
from plgg.preprocess.registration.frame import AlignedScan
from plgg.preprocess.registration.start import mutual_information
from plgg.preprocess.registration.turns import Moments, cube_turns, moments, named
from plgg.preprocess.resample import resample

OVERLAP = at_least(0.92, 0.85)


def brain_overlap(aligned: AlignedScan) -> Verdict:
    """Dice coefficient of the two brains on the atlas grid."""
    ours, theirs = aligned.brain, aligned.atlas.frame.brain
    found = 2.0 * float((ours & theirs).sum()) / max(float(ours.sum() + theirs.sum()), 1.0)
    return Verdict(
        gate="brain-overlap",
        status=OVERLAP.status(found),
        value=round(found, 4),
        limits=OVERLAP.words(),
        message=f"the brain overlaps the atlas' with a Dice of {found:.3f}",
        remedy="Look at the picture: is the whole brain there, without skull, and upright?",
    )


SIMILARITY = at_least(1.0075, 1.0060)


def similarity(aligned: AlignedScan) -> Verdict:
    """Normalised mutual information within both brains, so that outlines alone do not count."""
    both = aligned.brain & aligned.atlas.frame.brain
    found = mutual_information(aligned.scan[both], aligned.atlas.frame.image.data[both])
    return Verdict(
        gate="similarity",
        status=SIMILARITY.status(found),
        value=round(found, 4),
        limits=SIMILARITY.words(),
        message=f"inside the brain, scan and atlas share little (mutual information {found:.4f})",
        remedy="Look at the picture: is it a brain, in focus, and does it lie as the atlas does?",
    )


# Range of adults' and children's heads relative to the atlas, and of estimated spacings.
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


UPRIGHT = at_least(1.35, 1.2)
# Noise in the shape of a brain reaches 1.0006, a head 1.004 or more in its best orientation.
_ANYTHING = 1.002


def orientation(aligned: AlignedScan) -> Verdict:
    """Compare normalised mutual information as registered with that of the 23 other orientations.

    The value is (NMI as registered - 1) / (largest other NMI - 1): 1 or less is not upright.
    """
    # The first rotation is the identity.
    ours = moments(np.argwhere(aligned.brain))
    theirs = moments(np.argwhere(aligned.atlas.frame.brain))
    upright, *others = (
        (_shared(aligned, turn, ours, theirs), named(turn)) for turn in cube_turns()
    )
    most, other = max(others)
    ratio = (upright[0] - 1.0) / max(most - 1.0, 1e-9)
    if max(upright[0], most) < _ANYTHING:
        status: Status = "failed"
        message = "nothing in the scan fits the atlas, however it is turned"
        remedy = "Look at the picture: is it a brain, and in focus?"
    else:
        status, message = UPRIGHT.status(ratio), _message(ratio, other)
        remedy = "Convert the scan from DICOM again, or mend the orientation in its header."
    return Verdict(
        gate="orientation",
        status=status,
        value=round(ratio, 3),
        limits=UPRIGHT.words(),
        message=message,
        remedy=remedy,
    )


def _message(ratio: float, other: str) -> str:
    if ratio < 1.0:
        return f"the head fits the atlas better {other}, so the header's orientation is wrong"
    return f"the head fits the atlas almost as well {other}"


def _shared(
    aligned: AlignedScan, turn: NDArray[np.float64], own: Moments, theirs: Moments
) -> float:
    """Mutual information after a rotation about the brain, scaled to the atlas' extents."""
    atlas = aligned.atlas.frame
    (centre, ours), (middle, extent) = own, theirs
    stretch = np.diag([float(ours @ np.abs(turn[:, axis])) / extent[axis] for axis in range(3)])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ stretch
    matrix[:3, 3] = centre - matrix[:3, :3] @ middle
    # Only the box of the atlas' brain is compared.
    box = bounding_box(atlas.brain)
    there, inside = corner(matrix, box), atlas.brain[box]
    i, j, k = inside.shape
    both = (resample(aligned.brain, there, (i, j, k)) >= 0.5) & inside
    scan = resample(aligned.scan, there, (i, j, k))
    return mutual_information(scan[both], atlas.image.data[box][both])
