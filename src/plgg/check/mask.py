"""What can be wrong with a tumour mask, alone and against its FLAIR.

Pure functions on `Volume`. Everything after this takes > 0 as tumour. Knows nothing of files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.check.finding import Finding
from plgg.check.raw_head import background_value
from plgg.volume import Volume, corner_distance_mm, same_grid

MAX_OUTSIDE_SHARE = 0.20
MAX_BRAIN_SHARE = 0.50
_LABELS = 10


def inspect_mask(mask: Volume, flair: Volume | None) -> list[Finding]:
    """Look for what makes a tumour mask unusable or doubtful.

    Args:
        mask: The mask on its own grid.
        flair: The scan it belongs to; None where that could not be read, and then only the mask's
            own values are looked at.

    Returns:
        Findings without a case; empty for a healthy mask.
    """
    findings = _values(mask.data)
    if flair is None:
        return findings
    grid = _grid(mask, flair)
    if grid:
        return [*findings, grid]
    return findings + _against_brain(mask.data, flair.data)


def _values(data: NDArray[Any]) -> list[Finding]:
    labels = data[data != 0]
    if not labels.size:
        return [
            Finding(
                "warning",
                "mask-empty",
                None,
                "the mask is empty",
                "Right if this scan shows no tumour; if it is merely not outlined, leave the cell "
                "blank.",
            )
        ]
    if not np.isfinite(labels).all() or float(labels.min()) < 0:
        return [_not_labels("the mask holds negative or not finite values")]
    # One value is a binary mask however it is scaled (1, 255, 0.996).
    if float(labels.min()) == float(labels.max()):
        return []
    if (labels != np.round(labels)).any():
        return [_not_labels("the mask holds fractions")]
    values = np.unique(labels)
    if values.size > _LABELS:
        return [_not_labels(f"the mask holds {values.size} different values, as an image would")]
    shown = ", ".join(f"{value:g}" for value in values)
    return [
        Finding(
            "warning",
            "mask-labels",
            None,
            f"the mask holds the labels {shown}, and every label above 0 is taken as tumour",
            "If some are not tumour, write a mask of the whole tumour only.",
        )
    ]


def _not_labels(message: str) -> Finding:
    return Finding(
        "error",
        "mask-not-binary",
        None,
        message,
        "Write a mask of 0 and 1: threshold a probability or an interpolated mask at 0.5, and "
        "check that the columns flair and mask are not swapped.",
    )


def _grid(mask: Volume, flair: Volume) -> Finding | None:
    if mask.shape != flair.shape:
        return Finding(
            "error",
            "mask-shape",
            None,
            f"the mask has shape {_shape(mask)}, its FLAIR {_shape(flair)}",
            "Resample the mask onto its FLAIR with nearest-neighbour interpolation.",
        )
    if not same_grid(mask, flair):
        gap = corner_distance_mm(mask, flair)
        return Finding(
            "error",
            "mask-grid",
            None,
            f"the mask has its FLAIR's shape but lies up to {gap:.1f} mm away from it",
            "If the voxels do match, copy the FLAIR's affine into the mask's header; otherwise "
            "resample the mask onto its FLAIR.",
        )
    return None


def _against_brain(mask: NDArray[Any], flair: NDArray[Any]) -> list[Finding]:
    tumour = mask > 0
    n_tumour = int(np.count_nonzero(tumour))
    if not n_tumour:
        return []
    brain = flair != background_value(flair)
    n_inside = int(np.count_nonzero(tumour & brain))
    outside = 1.0 - n_inside / n_tumour
    covered = n_inside / max(1, int(np.count_nonzero(brain)))
    findings = []
    if outside > MAX_OUTSIDE_SHARE:
        findings.append(
            Finding(
                "warning",
                "mask-outside",
                None,
                f"{outside:.0%} of the mask lies in the FLAIR's background",
                "Look at both together: the mask may be flipped, shifted or of another scan, or "
                "skull stripping may have cut the tumour.",
            )
        )
    if covered > MAX_BRAIN_SHARE:
        findings.append(
            Finding(
                "warning",
                "mask-large",
                None,
                f"the mask covers {covered:.0%} of the brain",
                "Check that it outlines the tumour, not the brain.",
            )
        )
    return findings


def _shape(volume: Volume) -> str:
    return "×".join(str(n) for n in volume.shape)
