"""Checks of an image: its voxels, its affine, and whether it is skull-stripped.

Pure functions on `Volume`. A raw head (`looks_raw`) is no fault, because preprocessing strips the
skull.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.masks import fill_holes
from plgg.core.volume import Volume
from plgg.data.budget import coverage_fault
from plgg.data.check.report import Finding

SPACING_RANGE_MM = (0.2, 12.0)
BRAIN_RANGE_ML = (300.0, 2500.0)
MOST_BELOW_BACKGROUND = 0.99
_MASK_VALUES = 10
_SAMPLE = 10_000


def inspect_image(volume: Volume, title: str = "FLAIR") -> list[Finding]:
    """Check a scan for faults that make it unusable or doubtful.

    Args:
        volume: A scan, skull-stripped or not.
        title: Name of its sequence in the findings.

    Returns:
        Findings without a case; empty for a sound scan. A finding that makes the later ones
        meaningless is returned alone.
    """
    fatal = _contents(volume.data, title)
    if fatal:
        return [fatal]
    findings = [
        *_coverage(volume, title),
        *_spacing(volume),
        *_other_background(background_value(volume.data)),
        *_inverted(volume.data),
    ]
    why = looks_raw(volume)
    # In a raw head, the volume of all foreground is not that of the brain.
    return findings + ([_raw_head(why)] if why else _brain_volume(volume))


def brain_ml(volume: Volume) -> float:
    """Volume of the voxels that are not background, in mL."""
    tissue = volume.data != background_value(volume.data)
    return float(np.count_nonzero(tissue)) * volume.voxel_volume_ml


def _contents(data: NDArray[Any], title: str) -> Finding | None:
    n_bad = data.size - int(np.count_nonzero(np.isfinite(data)))
    if n_bad:
        return _error(
            "not-finite",
            f"the {title} holds {n_bad} {'voxel that is' if n_bad == 1 else 'voxels that are'} "
            "NaN, infinite or too large",
            "Set them to 0 if they are background, or export the scan again.",
        )
    low, high = float(data.min()), float(data.max())
    if low == high:
        return _error(
            "constant", f"every voxel of the {title} is {low:g}", "Export the scan again."
        )
    n_values = _count_values(data)
    if n_values <= _MASK_VALUES:
        values = "value" if n_values == 1 else "values"
        return _error(
            "flair-is-mask",
            f"the {title} holds only {n_values} {values} besides its background, as a mask would",
            "Check that the columns flair and mask are not swapped.",
        )
    return None


def _count_values(data: NDArray[Any]) -> int:
    """Number of distinct values besides the background, exact only where it is small."""
    values = data[data != background_value(data)]
    # Sorting millions of voxels is slow, and a sample that has many values settles it.
    sample = np.unique(values[:: max(1, values.size // _SAMPLE)])
    return int((sample if sample.size > _MASK_VALUES else np.unique(values)).size)


def _coverage(volume: Volume, title: str) -> list[Finding]:
    fault = coverage_fault(volume.shape, volume.spacing_mm)
    if fault is None:
        return []
    remedy = "Name the whole series; if it is whole, check the voxel size in its header."
    return [_error("coverage", f"of the {title}, {fault}", remedy)]


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
            "Check the voxel size in the header, and that the scan shows the whole brain.",
        )
    ]


def _raw_head(why: str) -> Finding:
    return Finding(
        "note",
        "not-stripped",
        None,
        f"the FLAIR looks like a raw head ({why}): the skull will be taken off",
        "Nothing, if it is one. If it is stripped already, set the voxels outside the brain to 0.",
    )


def _other_background(value: float) -> list[Finding]:
    if value == 0:
        return []
    return [
        Finding(
            "note",
            "background",
            None,
            f"the background of the FLAIR is {value:g} instead of 0, and is taken as outside",
            "Nothing, if that is the value around the brain.",
        )
    ]


def _inverted(data: NDArray[Any]) -> list[Finding]:
    """Find inverted intensities: a negative slope, or an image in which small values are bright."""
    background = background_value(data)
    tissue = data[data != background]
    below = float(np.mean(tissue < background))
    # Without a background, as in a raw scan with an offset, there is no value to compare with.
    if below < MOST_BELOW_BACKGROUND or tissue.size > (1 - MIN_BACKGROUND_SHARE) * data.size:
        return []
    return [
        Finding(
            "warning",
            "inverted",
            None,
            f"{below:.0%} of the FLAIR's tissue is darker than its background ({background:g})",
            "Look at it: if bright and dark are exchanged, mend the slope in its header, or export "
            "the scan again.",
        )
    ]


def _error(code: str, message: str, remedy: str) -> Finding:
    return Finding("error", code, None, message, remedy)


MIN_BACKGROUND_SHARE = 0.10
MAX_EDGE_SHARE = 0.05
MAX_DARK_RIM_SHARE = 0.35
_RIM_MM = 20.0
_RIM_DARKER_THAN = 0.25
_COARSE_MM = 3.0
_ENDS = [0, -1]


def background_value(data: NDArray[Any]) -> float:
    """Value of the background: usually 0.

    It is another value where all eight corners and at least 10 % of all voxels have that value, as
    when a whole stripped image was z-scored.

    Args:
        data: Array of shape (I, J, K), finite.
    """
    corners = data[np.ix_(_ENDS, _ENDS, _ENDS)]
    corner = corners[0, 0, 0]
    if corner == 0 or not (corners == corner).all():
        return 0.0
    share = float(np.count_nonzero(data == corner)) / data.size
    return float(corner) if share >= MIN_BACKGROUND_SHARE else 0.0


def looks_raw(volume: Volume) -> str | None:
    """Why a FLAIR looks like a raw head; None where it looks skull-stripped.

    Args:
        volume: A FLAIR of finite voxels.

    Returns:
        The reason in one clause.
    """
    tissue = volume.data != background_value(volume.data)
    empty = 1.0 - float(np.count_nonzero(tissue)) / tissue.size
    if empty < MIN_BACKGROUND_SHARE:
        return f"only {empty:.0%} of the FLAIR is background"
    edge = float(np.mean(_edges(tissue)))
    if edge > MAX_EDGE_SHARE:
        return f"{edge:.0%} of the outermost edges of the FLAIR is not background"
    return _dark_rim(volume, tissue)


def _edges(tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The twelve edges of the array: far from any brain, however tightly it is cropped."""
    return np.concatenate(
        [np.moveaxis(tissue, axis, 0)[:, _ENDS][:, :, _ENDS].ravel() for axis in range(3)]
    )


def _dark_rim(volume: Volume, tissue: NDArray[np.bool_]) -> str | None:
    """Skull and air cavities are dark on FLAIR; under the surface of a bare brain lies cortex.

    Measured on a coarse grid: the share of the outer 20 mm that is darker than a quarter of the
    core's median. It was 0.45–0.64 in raw heads and at most 0.24 in stripped brains.
    """
    step = [max(1, round(_COARSE_MM / float(value))) for value in volume.spacing_mm]
    coarse = tuple(slice(None, None, n) for n in step)
    data = volume.data[coarse]
    head = fill_holes(tissue[coarse])
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
    return f"{dark:.0%} of the outer {_RIM_MM:.0f} mm is as dark as bone or air"
