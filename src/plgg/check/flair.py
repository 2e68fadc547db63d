"""What can be wrong with a FLAIR, seen from its voxels and its affine alone.

Pure functions on `Volume`. The limits were set on 86 skull-stripped scans with slices of 2–8 mm,
three in BraTS' form and five raw heads whose air had been set to 0. Knows nothing of files, of
masks or of other scans.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.check.finding import Finding, Severity
from plgg.volume import Volume

# The one switch for raw heads: "warning" once something downstream takes the skull off.
NOT_STRIPPED_SEVERITY: Severity = "error"

MIN_ZERO_SHARE = 0.10
MAX_EDGE_SHARE = 0.05
MAX_DARK_RIM_SHARE = 0.35
SPACING_RANGE_MM = (0.2, 12.0)
BRAIN_RANGE_ML = (300.0, 2500.0)
_MASK_VALUES = 10
_RIM_MM = 20.0
_RIM_DARKER_THAN = 0.25
_COARSE_MM = 3.0
_SAMPLE = 10_000


def inspect_flair(volume: Volume) -> list[Finding]:
    """Look for what makes a FLAIR unusable or doubtful.

    Args:
        volume: A FLAIR that is meant to be skull-stripped, 0 outside the brain.

    Returns:
        Findings without a case; empty for a healthy scan. A finding that makes the later ones
        meaningless comes alone.
    """
    fatal = _contents(volume.data)
    if fatal:
        return [fatal]
    findings = _spacing(volume)
    raw_head = _background(volume.data) or _dark_rim(volume)
    # The volume of what is not 0 says something of the brain only where that is the brain.
    return findings + ([raw_head] if raw_head else _brain_volume(volume))


def brain_ml(volume: Volume) -> float:
    """Volume of the voxels that are not 0, in mL."""
    return float(np.count_nonzero(volume.data)) * volume.voxel_volume_ml


def _contents(data: NDArray[Any]) -> Finding | None:
    n_bad = data.size - int(np.count_nonzero(np.isfinite(data)))
    if n_bad:
        return _error(
            "not-finite",
            f"the FLAIR holds {n_bad} voxels that are NaN or infinite",
            "Set them to 0 if they are background, or export the scan again.",
        )
    low, high = float(data.min()), float(data.max())
    if low == high:
        return _error("constant", f"every voxel of the FLAIR is {low:g}", "Export the scan again.")
    n_values = _count_values(data)
    if n_values <= _MASK_VALUES:
        return _error(
            "flair-is-mask",
            f"the FLAIR holds only {n_values} values besides 0, as a mask would",
            "Check that the columns flair and mask are not swapped.",
        )
    return None


def _count_values(data: NDArray[Any]) -> int:
    """Number of distinct values besides 0, exact only where it is small."""
    values = data[data != 0]
    # Sorting millions of voxels is slow, and a sample that has many values settles it.
    sample = np.unique(values[:: max(1, values.size // _SAMPLE)])
    return int((sample if sample.size > _MASK_VALUES else np.unique(values)).size)


def _spacing(volume: Volume) -> list[Finding]:
    low, high = SPACING_RANGE_MM
    spacing = volume.spacing_mm
    if spacing.min() >= low and spacing.max() <= high:
        return []
    shown = " × ".join(f"{value:.3g}" for value in spacing)
    return [
        Finding(
            "warning",
            "spacing",
            None,
            f"voxels of {shown} mm are implausible",
            "Check the header's voxel size and its unit (it must be mm).",
        )
    ]


def _background(data: NDArray[Any]) -> Finding | None:
    """Is there a background of 0, and does it reach the rim of the image?"""
    ends = [0, -1]
    corners = data[np.ix_(ends, ends, ends)]
    corner = float(corners[0, 0, 0])
    share = float(np.count_nonzero(data == corner)) / data.size
    if corner != 0 and (corners == corner).all() and share >= MIN_ZERO_SHARE:
        return _error(
            "background",
            f"the background of the FLAIR is {corner:g} instead of 0",
            "Set the voxels outside the brain to 0.",
        )
    zero = float(np.count_nonzero(data == 0)) / data.size
    if zero < MIN_ZERO_SHARE:
        return _not_stripped(f"only {zero:.0%} of the FLAIR is 0")
    edge = float(np.mean(_edges(data) != 0))
    if edge > MAX_EDGE_SHARE:
        return _not_stripped(f"{edge:.0%} of the outermost edges of the FLAIR is not 0")
    return None


def _edges(data: NDArray[Any]) -> NDArray[Any]:
    """The twelve edges of the array: far from any brain, however tightly it is cropped."""
    ends = [0, -1]
    return np.concatenate(
        [np.moveaxis(data, axis, 0)[:, ends][:, :, ends].ravel() for axis in range(3)]
    )


def _dark_rim(volume: Volume) -> Finding | None:
    """Skull and air cavities are dark on FLAIR; under the surface of a bare brain lies cortex.

    Measured on a coarse grid: the share of the outer 20 mm that is darker than a quarter of the
    core's median. It was 0.45–0.64 in raw heads and at most 0.24 in stripped brains.
    """
    step = [max(1, round(_COARSE_MM / float(value))) for value in volume.spacing_mm]
    data = volume.data[:: step[0], :: step[1], :: step[2]]
    head = ndimage.binary_fill_holes(data != 0)
    depth = ndimage.distance_transform_edt(head, sampling=volume.spacing_mm * step)
    core = data[depth > _RIM_MM]
    if not core.size:
        return None
    # Where values may be negative (z-scores), dark is counted from the darkest voxel.
    floor = min(0.0, float(data.min()))
    limit = floor + _RIM_DARKER_THAN * (float(np.median(core)) - floor)
    rim = data[head & (depth <= _RIM_MM)]
    dark = float(np.mean(rim < limit))
    if dark <= MAX_DARK_RIM_SHARE:
        return None
    return _not_stripped(f"{dark:.0%} of the outer {_RIM_MM:.0f} mm is as dark as bone or air")


def _brain_volume(volume: Volume) -> list[Finding]:
    low, high = BRAIN_RANGE_ML
    found = brain_ml(volume)
    if low <= found <= high:
        return []
    return [
        Finding(
            "warning",
            "brain-volume",
            None,
            f"a brain of {found:.0f} mL is implausible",
            "Check the voxel size in the header, and that the scan shows the whole brain "
            "without skull.",
        )
    ]


def _not_stripped(why: str) -> Finding:
    return Finding(
        NOT_STRIPPED_SEVERITY,
        "not-stripped",
        None,
        f"the FLAIR looks like a raw head ({why})",
        "Strip the skull first (for example with HD-BET, SynthStrip or deepbet): voxels outside "
        "the brain must be 0.",
    )


def _error(code: str, message: str, remedy: str) -> Finding:
    return Finding("error", code, None, message, remedy)
