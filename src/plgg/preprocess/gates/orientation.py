"""Is the head upright? Whether the atlas would fit a turned head better than this one.

Registration stretches a brain that lies on its side or upside down until the outlines agree. Its
inside does not: so the scan is turned on the atlas through all 24 orientations of a cube, and the
one that it was registered in must share most with the atlas. A mirror image left to right looks
like a head, and cannot be told here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plgg.io.quality import Status, Verdict
from plgg.preprocess.gates.limits import at_least
from plgg.preprocess.registration.aligned import Aligned
from plgg.preprocess.registration.information import mutual_information
from plgg.preprocess.registration.turns import cube_turns, moments, named
from plgg.preprocess.resample import resample

UPRIGHT = at_least(1.35, 1.2)
# Noise in the shape of a brain reaches 1.0006, a turned head 1.004 or more at its best turn.
_ANYTHING = 1.002


def orientation(aligned: Aligned) -> Verdict:
    """How much more a scan shares with the atlas as it lies than turned any other way.

    The value is (NMI as it lies - 1) / (largest NMI turned - 1): 1 and below is not upright.
    """
    # The first turn is none.
    upright, *others = ((_shared(aligned, turn), named(turn)) for turn in cube_turns())
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


def _shared(aligned: Aligned, turn: NDArray[np.float64]) -> float:
    """Mutual information after a turn about the brain, stretched back to the atlas' extents."""
    atlas = aligned.atlas.frame
    middle, extent = moments(np.argwhere(atlas.brain))
    centre, ours = moments(np.argwhere(aligned.brain))
    stretch = np.diag([float(ours @ np.abs(turn[:, axis])) / extent[axis] for axis in range(3)])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ stretch
    matrix[:3, 3] = centre - matrix[:3, :3] @ middle
    both = (resample(aligned.brain, matrix, aligned.brain.shape) >= 0.5) & atlas.brain
    scan = resample(aligned.scan, matrix, aligned.brain.shape)
    return mutual_information(scan[both], atlas.image.data[both])
