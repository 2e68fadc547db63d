"""The brain mask of a scan on its native grid: given, or found by a skull-stripping engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.errors import InputError
from plgg.core.masks import fill_holes
from plgg.core.volume import Box, Volume
from plgg.data.check.image import background_value, looks_raw
from plgg.preprocess.grid import Grid, resample_to_native, working_image
from plgg.preprocess.skull_stripping import brain_by_deepbet, brain_by_hdbet


def brain_mask(flair: NDArray[Any]) -> NDArray[np.bool_]:
    """Voxels that are not background, with holes filled, because dark CSF may be stored as 0."""
    return fill_holes(flair != background_value(flair))


def bounding_box(mask: NDArray[np.bool_], *, margin: int = 0) -> Box:
    """Smallest box that holds all true voxels, widened by a margin within the array.

    Args:
        mask: Boolean array of shape (I, J, K) with at least one true voxel.
        margin: Voxels added on each side.
    """
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        low, high = max(int(hits[0]) - margin, 0), int(hits[-1]) + 1 + margin
        slices.append(slice(low, min(high, mask.shape[axis])))
    return slices[0], slices[1], slices[2]


def z_score(image: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Subtract the brain's mean and divide by its standard deviation; 0 outside the brain."""
    inside = image[brain]
    spread = float(inside.std(dtype=np.float64)) or 1.0
    scaled = (image - float(inside.mean(dtype=np.float64))) / spread
    return np.where(brain, scaled, 0.0).astype(np.float32)


# Bright tissue, as a factor of the brain's median; distances on a grid of 1 mm.
_BRIGHT = 1.25
_CORE_MM = 6.0
_REACH_MM = 15.0
_SMOOTHED_VOXELS = 3
_CLOSING_MM = 10.0
# Voxels around the brain that are searched: reach, closing and a margin.
_FARTHEST = 30


def cap_at_median(data: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Clip an image at its median in the brain found so far."""
    return np.minimum(data, np.float32(np.median(data[brain])))


def add_bright_rim(
    brain: NDArray[np.bool_], data: NDArray[np.float32], median: float
) -> NDArray[np.bool_]:
    """Add bright tissue, such as tumour, that continues beyond the surface of a brain mask.

    Args:
        brain: Mask on an isotropic grid of 1 mm.
        data: The image on that grid.
        median: Of the image in the brain.

    Returns:
        The mask, grown by at most 15 mm where there is such tissue, and closed there.
    """
    box = bounding_box(brain, margin=_FARTHEST)
    grown = _bright_rim(brain[box], data[box], median)
    if grown is None:
        return brain
    mended = brain.copy()
    mended[box] = grown
    return mended


def _bright_rim(
    brain: NDArray[np.bool_], data: NDArray[np.float32], median: float
) -> NDArray[np.bool_] | None:
    bright = ndimage.uniform_filter(data, _SMOOTHED_VOXELS) > _BRIGHT * median
    core = erode_mask(bright & brain)
    if core is None:
        return None
    within = ndimage.distance_transform_edt(~brain) <= _REACH_MM
    reached = ndimage.binary_propagation(core, mask=bright & within)
    grown = ndimage.binary_opening(reached, iterations=2) & ~brain
    if not grown.any():
        return None
    near = ndimage.distance_transform_edt(~grown) <= _CLOSING_MM
    mended = brain | grown
    return np.asarray(mended | (_closed(mended) & near), dtype=np.bool_)


def erode_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Erode a mask by a ball of radius 6 voxels; None where nothing is left.

    The distance transform runs only where a cube of 7 voxels fits, which is much faster.
    """
    side = 2 * int(_CORE_MM / np.sqrt(3.0)) + 1
    cubes = ndimage.minimum_filter(mask, side, mode="constant", cval=1)
    if not cubes.any():
        return None
    box = bounding_box(cubes, margin=int(_CORE_MM) + 1)
    if not mask[box].all():
        cubes[box] &= ndimage.distance_transform_edt(mask[box]) >= _CORE_MM
    return cubes if cubes.any() else None


def _closed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close a mask by a ball; distance transforms are faster than a large structuring element."""
    margin = int(_CLOSING_MM) + 2
    wide = ndimage.distance_transform_edt(~np.pad(mask, margin)) <= _CLOSING_MM
    closed = ndimage.distance_transform_edt(wide) > _CLOSING_MM
    inner = slice(margin, -margin)
    return np.asarray(closed[inner, inner, inner], dtype=np.bool_)


Network = Literal["deepbet", "hd-bet"]
Engine = Literal["auto", "deepbet", "hd-bet", "none"]

ENGINES: dict[Network, Callable[[Volume], NDArray[np.float32]]] = {
    "deepbet": brain_by_deepbet,
    "hd-bet": brain_by_hdbet,
}
WORKING_MM = 1.0
_LEAST_SHARE = 0.5
_LOWEST_PERCENTILE = 0.5
# Limits to find the head in the working image; doubling them moves the brain by less than 1 %.
_BRIGHT_PERCENTILE = 99.0
_NOISE_SHARE = 0.10
_NOISE_VOXELS = 5
_MARGIN = 10
_REMEDY = "Look at the scan: is it a head, and does its header hold the right voxel size?"


@dataclass(frozen=True, eq=False)
class BrainExtraction:
    """Brain mask of a scan, and how it was found.

    Attributes:
        brain: Mask on the native grid of the scan, not empty.
        engine: What found it; `none` where the scan was stripped already.
        why: Why that engine was used, in one clause.
    """

    brain: NDArray[np.bool_]
    engine: Literal["none", "deepbet", "hd-bet"]
    why: str


def find_brain(flair: Volume, engine: Engine = "auto") -> BrainExtraction:
    """Find the brain of a scan, stripped or not.

    Args:
        flair: Native scan of finite voxels, in any orientation.
        engine: `auto` takes a stripped scan as it is and runs deepbet on any other; `none`
            requires a stripped scan; a network's name runs it on any scan.

    Raises:
        InputError: If the scan is a raw head with `none`, or no brain is found.
        ConfigError: If the engine is not installed.
    """
    raw = looks_raw(flair)
    if engine == "none" and raw:
        raise InputError(
            f"the FLAIR looks like a raw head ({raw})",
            remedy="Let the skull be taken off (stripping: auto), or give a stripped scan.",
        )
    if engine == "none" or (engine == "auto" and raw is None):
        return BrainExtraction(_own_outline(flair), "none", "the scan is empty outside the brain")
    network: Network = "deepbet" if engine == "auto" else engine
    return BrainExtraction(_by_network(flair, network), network, raw or "it was asked for")


def _own_outline(flair: Volume) -> NDArray[np.bool_]:
    brain = brain_mask(flair.data)
    if not brain.any():
        raise InputError("the scan holds nothing but background", remedy="Export it again.")
    return brain


def _by_network(flair: Volume, network: Network) -> NDArray[np.bool_]:
    image = working_image(_from_zero(flair), WORKING_MM)
    box = _head_box(image.data)
    found = np.zeros(image.shape, dtype=np.bool_)
    found[box] = _extract_twice(image.crop(box), ENGINES[network])
    brain = resample_to_native(found, Grid(image.shape, image.affine), flair) >= 0.5
    if not brain.any():
        raise InputError(f"{network} found no brain in the scan", remedy=_REMEDY)
    return np.asarray(brain, dtype=np.bool_)


def _extract_twice(
    head: Volume, engine: Callable[[Volume], NDArray[np.float32]]
) -> NDArray[np.bool_]:
    """Run an engine on the head and on its clipped intensities; join both, add a bright rim."""
    first = _largest_filled_component(engine(head) >= _LEAST_SHARE)
    if not first.any():
        return first
    second = _largest_filled_component(
        engine(head.with_data(cap_at_median(head.data, first))) >= _LEAST_SHARE
    )
    median = float(np.median(head.data[first]))
    return _largest_filled_component(add_bright_rim(first | second, head.data, median))


def _from_zero(flair: Volume) -> Volume:
    """Shift intensities so that no signal is 0, as it is outside the field of view."""
    dark = background_value(flair.data) or float(np.percentile(flair.data, _LOWEST_PERCENTILE))
    return flair if dark == 0 else flair.with_data(flair.data - np.float32(dark))


def _head_box(data: NDArray[np.float32]) -> Box:
    """Bounding box of the head: the largest component brighter than noise, with a margin.

    Networks that first search at low resolution miss a small head in a wide field of view, as an
    oblique scan has after resampling: they missed two of five raw heads.
    """
    bright = float(np.percentile(data[data > 0], _BRIGHT_PERCENTILE)) if data.max() > 0 else 0.0
    smooth = ndimage.uniform_filter(data, _NOISE_VOXELS)
    head = _largest_filled_component(smooth > _NOISE_SHARE * bright)
    if not head.any():
        raise InputError("there is no head in the scan", remedy=_REMEDY)
    return bounding_box(head, margin=_MARGIN)


def _largest_filled_component(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected component of a mask, with its holes filled."""
    if not found.any():
        return found
    # Components and holes lie within the box of the mask, which is much smaller than the scan.
    box = bounding_box(found)
    labels, _ = ndimage.label(found[box])
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    mended = np.zeros_like(found)
    mended[box] = fill_holes(labels == largest)
    return mended
