"""Slices of a scan with the mask's outline as PNG, in radiological view.

The patient's right is on the left of axial and coronal slices, the front is on the left of sagittal
ones, and up is up. Slices are counted along the world's axes: from the feet up, from the back to
the front, from the patient's left to the right, from 0.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal

import nibabel.orientations as orientations
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plgg.core.volume import Affine, Volume, spacing_mm

Plane = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
_ACROSS: dict[Plane, int] = {"axial": 2, "coronal": 1, "sagittal": 0}
_OUTLINE = (255, 196, 0)
_LARGEST_SIDE = 768
_THUMBNAIL = 160


@dataclass(frozen=True, eq=False)
class UprightScan:
    """A scan reoriented to RAS: i to the right, j to the front, k up.

    Attributes:
        grey: uint8, 0 black.
        spacing_mm: Along each axis.
        turn: Orientation of the scan's own grid, as `nibabel.orientations.apply_orientation` takes
            it.
    """

    grey: NDArray[np.uint8]
    spacing_mm: NDArray[np.float64]
    turn: NDArray[np.float64]

    def turned(self, data: NDArray[Any]) -> NDArray[Any]:
        """Reorient an array of the scan's own grid as the scan was."""
        return np.asarray(orientations.apply_orientation(data, self.turn))


def upright(scan: Volume) -> UprightScan:
    """Reorient a scan to RAS and window it to 256 grey levels."""
    turn = orientations.io_orientation(scan.affine)
    flat = np.asarray(scan.data, dtype=np.float32)
    low, high = grey_range(flat)
    share = np.clip((flat - low) / (high - low), 0.0, 1.0)
    grey = np.asarray(np.rint(np.nan_to_num(share) * 255.0), dtype=np.uint8)
    affine = _turned_affine(scan.affine, turn, scan.shape)
    return UprightScan(
        np.asarray(orientations.apply_orientation(grey, turn)), spacing_mm(affine), turn
    )


def grey_range(data: NDArray[Any]) -> tuple[float, float]:
    """Window limits: about the 1st and the 99.5th percentile of voxels that are not 0."""
    coarse = data[::3, ::3, ::2]
    there = coarse[np.isfinite(coarse) & (coarse != 0)]
    if not there.size:
        return 0.0, 1.0
    low, high = map(float, np.percentile(there, (1.0, 99.5)))
    low = min(low, 0.0) if low < 0.2 * high else low
    return low, max(high, low + 1e-6)


def _turned_affine(affine: Affine, turn: NDArray[np.float64], shape: tuple[int, ...]) -> Affine:
    return np.asarray(affine @ orientations.inv_ornt_aff(turn, shape), dtype=np.float64)


def slice_counts(shape: tuple[int, int, int], affine: Affine) -> dict[str, int]:
    """How many slices each plane has."""
    turn = orientations.io_orientation(affine)
    order = np.argsort(turn[:, 0])
    return {plane: int(shape[int(order[axis])]) for plane, axis in _ACROSS.items()}


def slice_png(scan: UprightScan, mask: NDArray[np.bool_] | None, plane: Plane, index: int) -> bytes:
    """One slice as PNG, pixels square.

    Args:
        scan: Scan in RAS.
        mask: Mask in RAS; None for the scan alone.
        plane: Orientation of the slice.
        index: Number of the slice.

    Raises:
        IndexError: If there is no such slice.
    """
    axis = _ACROSS[plane]
    if not 0 <= index < scan.grey.shape[axis]:
        raise IndexError(index)
    columns, rows = (other for other in range(3) if other != axis)
    grey = _for_display(np.take(scan.grey, index, axis=axis))
    cut = None if mask is None else _for_display(np.take(mask, index, axis=axis))
    return _png(
        _draw_outline(grey, cut, scan.spacing_mm[columns], scan.spacing_mm[rows], _LARGEST_SIDE)
    )


def thumbnail_png(scan: UprightScan, mask: NDArray[np.bool_]) -> bytes:
    """A small axial picture where the tumour is largest, or of the middle of the head."""
    areas = mask.sum(axis=(0, 1))
    index = int(areas.argmax()) if mask.any() else scan.grey.shape[2] // 2
    grey, cut = _for_display(scan.grey[:, :, index]), _for_display(mask[:, :, index])
    return _png(_draw_outline(grey, cut, scan.spacing_mm[0], scan.spacing_mm[1], _THUMBNAIL))


def _for_display(cut: NDArray[Any]) -> NDArray[Any]:
    """Turn a slice for display: the second axis up, the first from right to left.

    Of sagittal slices, whose first axis runs to the front, that puts the front on the left.
    """
    return np.ascontiguousarray(cut.T[::-1, ::-1])


def _draw_outline(
    grey: NDArray[np.uint8],
    mask: NDArray[np.bool_] | None,
    width_mm: float,
    height_mm: float,
    largest: int,
) -> Image.Image:
    """A slice with square pixels and the outline of the mask."""
    across, down = grey.shape[1] * width_mm, grey.shape[0] * height_mm
    scale = min(largest / max(across, down), 4.0 / min(width_mm, height_mm))
    size = max(1, round(across * scale)), max(1, round(down * scale))
    picture = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR).convert("RGB")
    if mask is None or not mask.any():
        return picture
    drawn = Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    pixels = np.array(picture)
    pixels[_edge(np.asarray(drawn) > 0)] = _OUTLINE
    return Image.fromarray(pixels)


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels inside with a neighbour outside."""
    padded = np.pad(inside, 1)
    whole = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(inside & ~whole, dtype=np.bool_)


def _png(image: Image.Image) -> bytes:
    raw = io.BytesIO()
    image.save(raw, format="png", compress_level=4)
    return raw.getvalue()
