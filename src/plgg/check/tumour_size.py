"""Masks that no brain tumour can have: of the whole image, of a litre, of the whole brain.

The masks of 89 real gliomas (TCGA-LGG, BraTS 2013) hold at most 306 mL, 4 % of their image and 17 %
of their brain; limits are set several times as wide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plgg.check.finding import Finding
from plgg.volume import Volume

LARGEST_ML = 1000.0
MOST_OF_IMAGE = 0.50
MOST_OF_BRAIN = 0.80


def impossible_size(mask: Volume, brain: NDArray[np.bool_] | None = None) -> list[Finding]:
    """Why a mask cannot be a tumour's by its size; nothing where it can.

    Args:
        mask: Labels; > 0 is tumour.
        brain: Voxels of the FLAIR that are not background, on the same grid; None where unknown.
    """
    tumour = mask.data > 0
    n = int(np.count_nonzero(tumour))
    if n == tumour.size:
        return [
            _impossible(
                "no voxel of the mask is 0, so that the whole image would be tumour",
                "Write 0 outside the tumour and 1 in it.",
            )
        ]
    share, ml = n / tumour.size, n * mask.voxel_volume_ml
    if share > MOST_OF_IMAGE:
        what = f"the mask covers {share:.0%} of the image, and no tumour covers more than half"
        return [_impossible(what, "Check that tumour and background are not exchanged.")]
    if ml > LARGEST_ML:
        return [
            _impossible(
                f"the mask holds {ml:,.0f} mL, and no brain tumour holds over {LARGEST_ML:,.0f} mL",
                "Check that it outlines the tumour, not the brain or the head, and the voxel size "
                "in its header.",
            )
        ]
    covered = _covered(tumour, brain)
    if covered > MOST_OF_BRAIN:
        what = f"the mask covers {covered:.0%} of the brain, and no tumour covers over 80%"
        return [_impossible(what, "Check that it outlines the tumour, not the brain.")]
    return []


def _covered(tumour: NDArray[np.bool_], brain: NDArray[np.bool_] | None) -> float:
    """Share of the brain that is tumour; 0 where it is not known."""
    if brain is None or not brain.any():
        return 0.0
    return float(np.count_nonzero(tumour & brain)) / float(np.count_nonzero(brain))


def _impossible(message: str, remedy: str) -> Finding:
    return Finding("error", "mask-impossible", None, message, remedy)
