"""The brain of a FLAIR on its native grid, by whatever takes the skull off.

A scan that is stripped already keeps its own outline. Any other is brought to 1 mm and upright,
for which an engine (a function by name in `ENGINES`) gives the share of brain in each voxel; what
is thresholded and mended there is carried back. Knows nothing of the atlas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.check.raw_head import background_value, looks_raw
from plgg.errors import InputError
from plgg.holes import filled
from plgg.preprocess.brain import Box, bounding_box, brain_mask
from plgg.preprocess.bright_rim import capped, with_bright_rim
from plgg.preprocess.deepbet_engine import brain_by_deepbet
from plgg.preprocess.grid import Grid
from plgg.preprocess.hdbet_engine import brain_by_hdbet
from plgg.preprocess.working import back, working_image
from plgg.volume import Volume

Network = Literal["deepbet", "hd-bet"]
Engine = Literal["auto", "deepbet", "hd-bet", "none"]

ENGINES: dict[Network, Callable[[Volume], NDArray[np.float32]]] = {
    "deepbet": brain_by_deepbet,
    "hd-bet": brain_by_hdbet,
}
WORKING_MM = 1.0
_LEAST_SHARE = 0.5
_LOWEST_PERCENTILE = 0.5
# The head in the working image: limits that moved the brain by less than 1 % when doubled.
_BRIGHT_PERCENTILE = 99.0
_NOISE_SHARE = 0.10
_NOISE_VOXELS = 5
_MARGIN = 10
_REMEDY = "Look at the scan: is it a head, and does its header hold the right voxel size?"


@dataclass(frozen=True, eq=False)
class Stripped:
    """Where the brain of a scan is.

    Attributes:
        brain: On the native grid of the scan, not empty.
        engine: What found it; `none` where the scan was stripped already.
        why: Why that was used, in one clause.
    """

    brain: NDArray[np.bool_]
    engine: Literal["none", "deepbet", "hd-bet"]
    why: str


def find_brain(flair: Volume, engine: Engine = "auto") -> Stripped:
    """Find the brain of a scan, stripped or not.

    Args:
        flair: Native scan of finite voxels, however it lies.
        engine: `auto` takes a stripped scan as it is and gives any other to deepbet; `none`
            insists that it is stripped; a network's name runs it on any scan.

    Raises:
        InputError: If `none` meets a raw head, or no brain is found, or the engine is missing.
    """
    raw = looks_raw(flair)
    if engine == "none" and raw:
        raise InputError(
            f"the FLAIR looks like a raw head ({raw})",
            remedy="Let the skull be taken off (stripping: auto), or give a stripped scan.",
        )
    if engine == "none" or (engine == "auto" and raw is None):
        return Stripped(_own_outline(flair), "none", "the scan is empty outside the brain")
    network: Network = "deepbet" if engine == "auto" else engine
    return Stripped(_by_network(flair, network), network, raw or "it was asked for")


def _own_outline(flair: Volume) -> NDArray[np.bool_]:
    brain = brain_mask(flair.data)
    if not brain.any():
        raise InputError("the scan holds nothing but background", remedy="Export it again.")
    return brain


def _by_network(flair: Volume, network: Network) -> NDArray[np.bool_]:
    image = working_image(_from_zero(flair), WORKING_MM)
    box = _head_box(image.data)
    found = np.zeros(image.shape, dtype=np.bool_)
    found[box] = _seen_twice(_cropped(image, box), ENGINES[network])
    brain = back(found, Grid(image.shape, image.affine), flair) >= 0.5
    if not brain.any():
        raise InputError(f"{network} found no brain in the scan", remedy=_REMEDY)
    return np.asarray(brain, dtype=np.bool_)


def _seen_twice(head: Volume, engine: Callable[[Volume], NDArray[np.float32]]) -> NDArray[np.bool_]:
    """What an engine finds in the head as it is and with its brightness capped, rim mended."""
    first = _mended(engine(head) >= _LEAST_SHARE)
    if not first.any():
        return first
    second = _mended(engine(head.with_data(capped(head.data, first))) >= _LEAST_SHARE)
    median = float(np.median(head.data[first]))
    return _mended(with_bright_rim(first | second, head.data, median))


def _from_zero(flair: Volume) -> Volume:
    """The scan with its darkness at 0, which is also what lies outside its field of view."""
    dark = background_value(flair.data) or float(np.percentile(flair.data, _LOWEST_PERCENTILE))
    return flair if dark == 0 else flair.with_data(flair.data - np.float32(dark))


def _head_box(data: NDArray[np.float32]) -> Box:
    """Where the head is: what is brighter than noise, in one piece.

    A small head in a wide field of view, as an oblique scan has it once it stands upright, is
    missed by networks that first look for it coarsely: two of five raw heads were.
    """
    bright = float(np.percentile(data[data > 0], _BRIGHT_PERCENTILE)) if data.max() > 0 else 0.0
    smooth = ndimage.uniform_filter(data, _NOISE_VOXELS)
    head = _mended(smooth > _NOISE_SHARE * bright)
    if not head.any():
        raise InputError("there is no head in the scan", remedy=_REMEDY)
    return bounding_box(head, margin=_MARGIN)


def _cropped(image: Volume, box: Box) -> Volume:
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return Volume(np.ascontiguousarray(image.data[box]), affine)


def _mended(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest piece of a mask, its holes filled."""
    labels, n_pieces = ndimage.label(found)
    if n_pieces == 0:
        return found
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return filled(labels == largest)
