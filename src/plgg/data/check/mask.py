"""Checks of a tumour mask, alone and against its image: grid, size, values.

Other programs often save a mask with its axes in another order and a matching header, so that its
voxels are at the same positions. World positions decide, so any orientation and any oblique affine
is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from plgg.config import Label
from plgg.core.errors import InputError
from plgg.core.masks import mask_labels
from plgg.core.volume import Volume, corner_distance_mm, index_map, same_grid
from plgg.data.check.image import background_value
from plgg.data.check.report import Finding, Severity
from plgg.data.labels import COLUMN, unnamed_values


def orientation_codes(volume: Volume) -> str:
    """Orientation of the axes, for example `LPS`."""
    return "".join(nib.aff2axcodes(volume.affine))


def reorient_to_grid(volume: Volume, grid: Volume) -> Volume | None:
    """Reorient a volume to the axes of a grid, if the voxels of both are at the same positions.

    Args:
        volume: Volume to reorient.
        grid: Volume with the wanted shape and affine.

    Returns:
        The same values with the grid's affine; None if positions differ by over 0.1 mm.
    """
    turned = reorient_closest(volume, grid)
    return Volume(turned.data, grid.affine) if same_grid(turned, grid) else None


def reorient_closest(volume: Volume, grid: Volume) -> Volume:
    """Permute and flip the axes of a volume to the closest orientation to that of a grid.

    World positions do not change, since the affine is adapted.
    """
    onto = nib.io_orientation(index_map(grid.affine, volume.affine))
    data = nib.apply_orientation(volume.data, onto)
    back = nib.orientations.inv_ornt_aff(onto, volume.shape)
    return Volume(data, volume.affine @ back)


def same_orientation(a: Volume, b: Volume) -> bool:
    """Whether two grids have the same closest orientation."""
    onto = nib.io_orientation(index_map(b.affine, a.affine))
    return bool(np.array_equal(onto, [[0, 1], [1, 1], [2, 1]]))


MAX_OUTSIDE_SHARE = 0.20
MAX_BRAIN_SHARE = 0.50
_RESAMPLE = "Resample the mask onto its FLAIR with nearest-neighbour interpolation."


@dataclass(frozen=True, eq=False)
class MaskCheck:
    """A mask and the findings of its check.

    Attributes:
        findings: Findings without a case; empty for a sound mask.
        labels: Integer labels, in the FLAIR's axis order where they are on its voxels; None where
            the values are no labels.
    """

    findings: tuple[Finding, ...]
    labels: Volume | None


def inspect_mask(mask: Volume, flair: Volume | None) -> list[Finding]:
    """The findings of `check_mask`."""
    return list(check_mask(mask, flair).findings)


def check_mask(
    mask: Volume, flair: Volume | None, *, says_how: bool = True, labels: Sequence[Label] = ()
) -> MaskCheck:
    """Check a tumour mask for faults that make it unusable or doubtful.

    Args:
        mask: The mask on its own grid.
        flair: The scan it belongs to; None to check only the mask's own values and size.
        says_how: Whether the mask's header gives an orientation; if not, it is never reoriented.
        labels: Regions by their values; none where any value above 0 is tumour.
    """
    try:
        whole = mask.with_data(mask_labels(mask.data))
    except InputError as error:
        wrong = _finding("error", "mask-not-binary", error.what, error.remedy or "")
        return MaskCheck((wrong, *(_misplaced(mask, flair) if flair else ())), None)
    findings = _values(whole.data, labels)
    placed = reorient_to_grid(whole, flair) if flair else whole
    if flair and not says_how and not same_orientation(whole, flair):
        return MaskCheck((*findings, *impossible_size(whole), _guessed(flair)), whole)
    if placed is None or flair is None:
        size = impossible_size(whole)
        return MaskCheck((*findings, *size, *(_misplaced(mask, flair) if flair else ())), whole)
    if not same_orientation(whole, flair):
        findings.append(_turned(whole, flair))
    if not np.isfinite(flair.data).all():  # Its background is unknown.
        return MaskCheck((*findings, *impossible_size(placed)), placed)
    brain = flair.data != background_value(flair.data)
    size = impossible_size(placed, brain)
    return MaskCheck((*findings, *size, *([] if size else _against(placed.data, brain))), placed)


def _values(mask: NDArray[Any], labels: Sequence[Label]) -> list[Finding]:
    values = np.unique(mask[mask != 0])
    if not values.size:
        remedy = (
            "Right if this scan shows no tumour; if it is merely not outlined, leave the cell "
            "blank."
        )
        return [_finding("warning", "mask-empty", "the mask is empty", remedy)]
    if labels:
        return _unnamed(mask, labels)
    if values.size == 1:
        return []
    shown = ", ".join(f"{value:g}" for value in values)
    return [
        _finding(
            "warning",
            "mask-labels",
            f"the mask holds the labels {shown}, and every label above 0 is taken as tumour",
            "If some are not tumour, write a mask of the whole tumour only.",
        )
    ]


def _unnamed(mask: NDArray[Any], labels: Sequence[Label]) -> list[Finding]:
    """Report values that no label has; their voxels count as background."""
    values = unnamed_values(mask, labels)
    if not values:
        return []
    shown = ", ".join(f"{value:g}" for value in values)
    alone = len(values) == np.unique(mask[mask > 0]).size
    what = f"the mask holds {shown}, which no label has"
    return [
        _finding(
            "error" if alone else "warning",
            "mask-values",
            f"{what}, and nothing else" if alone else f"{what}: taken as no tumour",
            f"Name it among the values of {labels[0].name}, or write {labels[0].name} into the "
            f"manifest's column {COLUMN} if the mask tells the whole tumour alone.",
        )
    ]


def _turned(mask: Volume, flair: Volume) -> Finding:
    return _finding(
        "note",
        "mask-turned",
        f"the mask's axes run {orientation_codes(mask)} and its FLAIR's "
        f"{orientation_codes(flair)}, at the same places: it is turned onto its FLAIR's voxels "
        "without loss",
        "Nothing.",
    )


def _guessed(flair: Volume) -> Finding:
    return _finding(
        "error",
        "mask-grid",
        "the mask's header does not say how its axes run, and its FLAIR's run "
        f"{orientation_codes(flair)}: turning it would be a guess",
        "If the voxels do match, copy the FLAIR's affine into the mask's header; otherwise export "
        "the mask again.",
    )


def _misplaced(mask: Volume, flair: Volume) -> list[Finding]:
    """Findings on a mask that is not on its FLAIR's grid; empty if it is."""
    if reorient_to_grid(mask, flair) is not None:
        return []
    turned, alike = reorient_closest(mask, flair), same_orientation(mask, flair)
    if turned.shape != flair.shape:
        return [_other_shape(mask, flair, alike=alike)]
    gap = corner_distance_mm(turned, flair)
    if alike:
        return [
            _finding(
                "error",
                "mask-grid",
                f"the mask has its FLAIR's shape but lies up to {gap:.1f} mm away from it",
                "If the voxels do match, copy the FLAIR's affine into the mask's header; otherwise "
                "resample the mask onto its FLAIR.",
            )
        ]
    return [
        _finding(
            "error",
            "mask-grid",
            f"the mask's axes run {orientation_codes(mask)} and its FLAIR's "
            f"{orientation_codes(flair)}, and turned to the same order it still lies up to "
            f"{gap:.1f} mm away from it",
            f"{_RESAMPLE} Do not copy the FLAIR's header: its axes run other ways, and the tumour "
            "would be mirrored or turned.",
        )
    ]


def _other_shape(mask: Volume, flair: Volume, *, alike: bool) -> Finding:
    message = f"the mask has shape {_shape(mask)}, its FLAIR {_shape(flair)}"
    if not alike:
        message += f", and their axes run {orientation_codes(mask)} and {orientation_codes(flair)}"
    return _finding("error", "mask-shape", message, _RESAMPLE)


def _against(mask: NDArray[Any], brain: NDArray[np.bool_]) -> list[Finding]:
    tumour = mask > 0
    n_tumour = int(np.count_nonzero(tumour))
    if not n_tumour:
        return []
    n_inside = int(np.count_nonzero(tumour & brain))
    outside = 1.0 - n_inside / n_tumour
    covered = n_inside / max(1, int(np.count_nonzero(brain)))
    findings = []
    if outside > MAX_OUTSIDE_SHARE:
        findings.append(
            _finding(
                "warning",
                "mask-outside",
                f"{outside:.0%} of the mask lies in the FLAIR's background",
                "Look at both together: the mask may be flipped, shifted or of another scan, or "
                "skull stripping may have cut the tumour.",
            )
        )
    if covered > MAX_BRAIN_SHARE:
        findings.append(
            _finding(
                "warning",
                "mask-large",
                f"the mask covers {covered:.0%} of the brain",
                "Check that it outlines the tumour, not the brain.",
            )
        )
    return findings


def _finding(severity: Severity, code: str, message: str, remedy: str) -> Finding:
    return Finding(severity, code, None, message, remedy)


def _shape(volume: Volume) -> str:
    return "×".join(str(n) for n in volume.shape)


LARGEST_ML = 1000.0
MOST_OF_IMAGE = 0.50
MOST_OF_BRAIN = 0.80


def impossible_size(mask: Volume, brain: NDArray[np.bool_] | None = None) -> list[Finding]:
    """Findings on a mask that is too large to be a tumour; empty if it is not.

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
    """Fraction of the brain that is tumour; 0 if the brain is unknown."""
    if brain is None or not brain.any():
        return 0.0
    return float(np.count_nonzero(tumour & brain)) / float(np.count_nonzero(brain))


def _impossible(message: str, remedy: str) -> Finding:
    return Finding("error", "mask-impossible", None, message, remedy)
