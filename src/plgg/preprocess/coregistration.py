"""Co-registration: rigid registration of a patient's other sequences to the reference.

    registered = coregister(flair, brain, t2, title="T2")
    t2_on_flair_world = registered.reference_from_other

The best of several attempts, by normalised mutual information in the brain, goes through the gates.
A sequence that fails them is left out, as if it were missing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.volume import Affine, Volume, inverse, same_grid
from plgg.data.check.image import background_value
from plgg.data.quality import Status, Verdict
from plgg.preprocess.brain_extraction import bounding_box
from plgg.preprocess.gates.limits import Limits, at_least, at_most
from plgg.preprocess.grid import working_image
from plgg.preprocess.registration.engines import greedy, simpleitk
from plgg.preprocess.registration.frame import WORKING_MM, Frame, carried
from plgg.preprocess.registration.start import mutual_information

log = logging.getLogger(__name__)
# Of sequences of one head: measured on real pairs, in place and moved by 5 mm (docs/channels.md).
SIMILARITY = at_least(1.08, 1.05)
ANGLE_DEG = at_most(20.0, 45.0, "°")
_AROUND_BRAIN_MM = 6.0
_COVERED = at_least(0.90, 0.50)


@dataclass(frozen=True, eq=False)
class Coregistration:
    """Result of the registration of another sequence to the reference.

    Attributes:
        reference_from_other: 4×4 matrix from the other's world to the reference's, mm, rigid.
        verdict: Of the gates; `failed` where the sequence must not be used.
    """

    reference_from_other: Affine
    verdict: Verdict


def coregister(
    reference: Volume, brain: NDArray[np.bool_], other: Volume, *, title: str
) -> Coregistration:
    """Register another sequence of the same head to the reference with 6 degrees of freedom.

    Args:
        reference: Native scan, with or without skull.
        brain: Its brain on the same grid, not empty.
        other: Another sequence, on any grid.
        title: Name of that sequence for messages.
    """
    fixed, moving = reference_frame(reference, brain), other_frame(other)
    best, most = np.eye(4), -np.inf
    # Sequences on one grid were registered before, and are kept so.
    together = same_grid(reference, other, tolerance_mm=0.5)
    for matrix in [best] if together else _attempts(fixed, moving):
        shared = shared_information(fixed, moving, matrix)
        if shared > most:
            best, most = matrix, shared
    return Coregistration(inverse(best), _verdict(best, most, _covered(fixed, moving, best), title))


def _attempts(fixed: Frame, moving: Frame) -> Iterator[Affine]:
    """Yield matrices from the reference's world to the other's, the likeliest first."""
    here = np.eye(4)
    yield here
    yield from _fitted(fixed, moving, here)
    if SIMILARITY.status(max(shared_information(fixed, moving, here), 0.0)) == "good":
        return  # One session, one world: what moved since is small.
    centred = np.eye(4)
    centred[:3, 3] = moving.centre_mm - fixed.centre_mm
    yield from _fitted(fixed, moving, centred)


def _fitted(fixed: Frame, moving: Frame, start: Affine) -> Iterator[Affine]:
    try:
        yield greedy(fixed, moving, start, "rigid", masked=True)
    except RuntimeError as error:
        log.info("greedy gave up: %s", error)
        try:
            yield simpleitk(fixed, moving, start, "rigid")
        except RuntimeError as second:
            log.info("simpleitk gave up: %s", second)


def reference_frame(reference: Volume, brain: NDArray[np.bool_]) -> Frame:
    """The reference, cropped around its brain, on the working grid."""
    share = working_image(reference.with_data(brain.astype(np.float32)), WORKING_MM)
    inside = ndimage.binary_dilation(share.data >= 0.5, iterations=round(_AROUND_BRAIN_MM / 2.0))
    box = bounding_box(np.asarray(inside), margin=2)
    return Frame(working_image(reference, WORKING_MM).crop(box), np.asarray(inside)[box])


def other_frame(other: Volume) -> Frame:
    """Another sequence on the working grid; all that is not background serves as its brain."""
    image = working_image(other, WORKING_MM)
    dark = background_value(other.data) or float(image.data.min())
    bright = float(np.percentile(image.data, 99.0))
    return Frame(image, image.data > dark + 0.1 * (bright - dark))


def _on_fixed(
    fixed: Frame, moving: Frame, matrix: Affine, data: NDArray[np.generic]
) -> NDArray[np.float32]:
    return carried(data, moving.image.affine, matrix @ fixed.image.affine, fixed.image.shape)


def shared_information(fixed: Frame, moving: Frame, matrix: Affine) -> float:
    """Normalised mutual information in and around the brain."""
    there = _on_fixed(fixed, moving, matrix, moving.image.data)
    return mutual_information(fixed.image.data[fixed.brain], there[fixed.brain])


def _covered(fixed: Frame, moving: Frame, matrix: Affine) -> float:
    """Share of the reference's brain that lies in the other's field of view."""
    whole = np.ones(moving.image.shape, dtype=np.float32)
    return float((_on_fixed(fixed, moving, matrix, whole)[fixed.brain] > 0.5).mean())


def _verdict(matrix: Affine, shared: float, covered: float, title: str) -> Verdict:
    cosine = np.clip((np.trace(matrix[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)
    # Only the angle is judged: the translation refers to the world's origin, far from the head.
    angle = float(np.degrees(np.arccos(cosine)))
    judged: list[tuple[Status, str, float, Limits]] = [
        (
            SIMILARITY.status(shared),
            f"shares little with the reference ({shared:.4f})",
            shared,
            SIMILARITY,
        ),
        (
            ANGLE_DEG.status(angle),
            f"lies turned by {angle:.0f}° to the reference",
            angle,
            ANGLE_DEG,
        ),
        (_COVERED.status(covered), f"covers only {covered:.0%} of the brain", covered, _COVERED),
    ]
    order = ("failed", "doubtful", "good")
    status, message, value, limits = min(judged, key=lambda one: order.index(one[0]))
    return Verdict(
        gate="coregistration",
        status=status,
        value=round(value, 4),
        limits=limits.words(),
        message=f"the {title} {message}",
        remedy=f"Look whether the {title} is of the same head and covers it.",
    )
