"""Is the skull still on? What the background is, and what tells a raw head from a bare brain.

Pure functions on arrays and `Volume`. The limits were set on 86 skull-stripped scans with slices
of 2–8 mm, three in BraTS' form and five raw heads whose air had been set to 0. Knows nothing of
files, nor of what takes the skull off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.holes import filled
from plgg.volume import Volume

MIN_BACKGROUND_SHARE = 0.10
MAX_EDGE_SHARE = 0.05
MAX_DARK_RIM_SHARE = 0.35
_RIM_MM = 20.0
_RIM_DARKER_THAN = 0.25
_COARSE_MM = 3.0
_ENDS = [0, -1]


def background_value(data: NDArray[Any]) -> float:
    """The one value that stands outside the brain: 0, unless the image says otherwise.

    It says otherwise where all eight corners hold one other value and so do at least 10 % of all
    voxels, as when a whole stripped image was z-scored.

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
    """Why a FLAIR looks as if the skull were still on; None where it looks stripped.

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
    head = filled(tissue[coarse])
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
