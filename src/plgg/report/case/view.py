"""A scan and its prediction in radiological view, with letters of orientation.

An edge of an oblique slice gets two letters, the nearer direction first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import nibabel.orientations as orientations
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.masks import fill_holes
from plgg.core.volume import Affine, Volume, index_map, spacing_mm

_PAIRS = (("R", "L"), ("A", "P"), ("S", "I"))
# A second letter is given from 15 degrees of tilt.
_TILT = float(np.sin(np.deg2rad(15.0)))


class Edges(NamedTuple):
    """Orientation letters at the four edges of a picture."""

    left: str
    right: str
    top: str
    bottom: str


def direction(vector: NDArray[Any]) -> str:
    """Letters of a direction in the world (RAS+), such as `R`, or `RA` between right and front.

    Args:
        vector: Shape (3,), any length but 0.
    """
    unit = np.asarray(vector, dtype=np.float64) / np.linalg.norm(vector)
    order = np.argsort(-np.abs(unit), kind="stable")
    axes = [axis for n, axis in enumerate(order) if n == 0 or abs(unit[axis]) >= _TILT]
    return "".join(_PAIRS[axis][0 if unit[axis] > 0 else 1] for axis in axes)


def edges(affine: Affine, *, columns: int, rows: int) -> Edges:
    """Letters of a slice whose columns and rows run along these voxel axes of an affine."""
    right, down = affine[:3, columns], affine[:3, rows]
    return Edges(direction(-right), direction(right), direction(-down), direction(down))


def tilt_degrees(affine: Affine) -> float:
    """Largest angle between a voxel axis and the world axis that it is nearest to."""
    units = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.rad2deg(np.arccos(np.clip(np.abs(units).max(axis=0).min(), -1.0, 1.0))))


_COARSE_MM = 3.0
_SHARE = 0.12
_SMALLEST_TO_OPEN = 12


@dataclass(frozen=True, eq=False)
class Head:
    """Coarse foreground mask of a scan, and its display window.

    Attributes:
        inside: Boolean, on every `steps`-th voxel of the scan.
        steps: Stride along each axis.
        low: Intensity to show black.
        high: Intensity to show white.
    """

    inside: Volume
    steps: tuple[int, int, int]
    low: float
    high: float


def segment_head(scan: Volume) -> Head:
    """Segment the head: what differs from the corners, largest component, with holes filled.

    Args:
        scan: Finite intensities; the background may have any.
    """
    steps = tuple(max(1, round(_COARSE_MM / mm)) for mm in scan.spacing_mm)
    coarse = scan.data[:: steps[0], :: steps[1], :: steps[2]]
    background = float(np.median(coarse[np.ix_(*[(0, n - 1) for n in coarse.shape])]))
    away = np.abs(coarse - background)
    inside = _largest_component(away > _SHARE * float(np.percentile(away, 99)))
    found = coarse[inside] if inside.any() else coarse
    low, high = map(float, np.percentile(found, (1.0, 99.9)))
    affine = scan.affine @ np.diag([*steps, 1.0])
    return Head(Volume(inside, affine), steps, min(low, background), max(high, low + 1e-6))


def _largest_component(inside: NDArray[Any]) -> NDArray[np.bool_]:
    if min(inside.shape) >= _SMALLEST_TO_OPEN:
        inside = ndimage.binary_opening(inside)
    parts, n = ndimage.label(inside)
    if n > 1:
        inside = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return _filled(inside)


def _filled(inside: NDArray[Any]) -> NDArray[np.bool_]:
    """Fill holes slice by slice along each axis, including cavities that are open at one end."""
    solid = np.array(inside, dtype=np.bool_)
    for axis in range(3):
        for plane in np.moveaxis(solid, axis, 0):
            plane[...] = fill_holes(plane)
    return solid


Plane = Literal["axial", "coronal", "sagittal"]
# The axis across the slices, then those of their columns and rows.
AXES: dict[Plane, tuple[int, int, int]] = {
    "axial": (2, 0, 1),
    "coronal": (1, 0, 2),
    "sagittal": (0, 1, 2),
}
# Phones refuse images of more than 16 million pixels, and all slices become one image.
_MOST_VOXELS = 12_000_000
_MARGIN_MM = 4.0
Box = tuple[slice, slice, slice]


class Prediction(NamedTuple):
    """The maps of one prediction, all on the scan's grid; uncertainty is entropy in bits.

    `inner` are the regions within the tumour by name, boolean.
    """

    mask: Volume
    probability: Volume
    uncertainty: Volume | None
    inner: Mapping[str, Volume] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class ScanView:
    """The arrays to draw, all of one shape (X, Y, Z).

    Attributes:
        grey: The scan as uint8, 0 black.
        mask: The tumour, boolean.
        probability: Of tumour, uint8: 255 is 1.
        uncertainty: Entropy, uint8: 255 is 1 bit; None where there is no map.
        affine: From these voxels to the world.
        native: From these voxels to the file's.
        head: Coarse foreground mask, on a grid of its own.
        inner: Regions within the tumour by name, boolean.
    """

    grey: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    probability: NDArray[np.uint8]
    uncertainty: NDArray[np.uint8] | None
    affine: Affine
    native: Affine
    head: Volume
    inner: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Distance between voxels along x, y and z."""
        return spacing_mm(self.affine)

    @property
    def centre(self) -> tuple[int, int, int]:
        """The voxel to look at first: in the fullest slices of the tumour, or mid-head."""
        if not self.mask.any():
            x, y, z = (n // 2 for n in self.mask.shape)
            return x, y, z
        z = int(self.mask.sum(axis=(0, 1)).argmax())
        y = int(self.mask.sum(axis=(0, 2)).argmax())
        return int(self.mask.sum(axis=(1, 2)).argmax()), y, z

    def native_index(self, axis: int, position: int) -> int:
        """The file's voxel index of a slice across one of the axes."""
        across = int(np.argmax(np.abs(self.native[:3, axis])))
        return int(np.floor(self.native[across, axis] * position + self.native[across, 3] + 1e-6))


def make_scan_view(scan: Volume, prediction: Prediction) -> ScanView:
    """Reorient, crop, downsample and window a scan and its prediction for display.

    Args:
        scan: The native scan.
        prediction: On the scan's grid.
    """
    lying = _reorient(scan.with_data(np.nan_to_num(scan.data, posinf=0.0, neginf=0.0)))
    head, mask = segment_head(lying), _reorient(prediction.mask).data > 0
    box = _box(head, mask, lying.spacing_mm)
    n_voxels = int(np.prod([side.stop - side.start for side in box]))
    halves = _downsampling_factors(n_voxels, lying.spacing_mm)
    start = np.eye(4)
    start[:3, 3] = [side.start for side in box]
    halved = _halved_affine(lying.affine @ start, halves)
    unsure = prediction.uncertainty
    uncertainty = None if unsure is None else _map(unsure, box, halves)
    return ScanView(
        grey=_eight_bits(_downsample(lying.data[box], halves), head.low, head.high),
        mask=_downsample(mask[box], halves) >= 0.5,
        probability=_map(prediction.probability, box, halves),
        uncertainty=uncertainty,
        affine=halved,
        native=index_map(scan.affine, halved),
        head=head.inside,
        inner={
            name: _downsample(_reorient(one).data[box] > 0, halves) >= 0.5
            for name, one in prediction.inner.items()
        },
    )


def _reorient(volume: Volume) -> Volume:
    """Reorient a volume to the nearest LPI axes, without resampling."""
    wanted = orientations.axcodes2ornt(("L", "P", "I"))
    turn = orientations.ornt_transform(orientations.io_orientation(volume.affine), wanted)
    data = orientations.apply_orientation(volume.data, turn)
    return Volume(data, volume.affine @ orientations.inv_ornt_aff(turn, volume.shape))


def _map(volume: Volume, box: Box, halves: tuple[int, int, int]) -> NDArray[np.uint8]:
    return _eight_bits(_downsample(_reorient(volume).data[box], halves), 0.0, 1.0)


def _box(head: Head, mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> Box:
    """The smallest box around head and tumour, with a margin; all where both are empty."""
    sides = []
    for axis, step in enumerate(head.steps):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(head.inside.data.any(axis=others)) * step
        found = np.concatenate([found, np.flatnonzero(mask.any(axis=others))])
        margin = step + round(_MARGIN_MM / spacing[axis])
        n = mask.shape[axis]
        low, high = (found.min(), found.max()) if found.size else (0, n)
        sides.append(slice(max(0, int(low) - margin), min(n, int(high) + margin + 1)))
    x, y, z = sides
    return x, y, z


def _downsampling_factors(n_voxels: int, spacing: NDArray[np.float64]) -> tuple[int, int, int]:
    """Downsampling factors of the axes: the finest is halved until few enough voxels are left."""
    factors = np.ones(3, dtype=int)
    while n_voxels / factors.prod() > _MOST_VOXELS:
        factors[np.argmin(spacing * factors)] *= 2
    x, y, z = map(int, factors)
    return x, y, z


def _downsample(data: NDArray[Any], factors: tuple[int, int, int]) -> NDArray[Any]:
    """Means over blocks; the last voxel is repeated where a block is not full."""
    if factors == (1, 1, 1):
        return data
    padding = [(0, -n % factor) for n, factor in zip(data.shape, factors, strict=True)]
    full = np.pad(data, padding, mode="edge").astype(np.float32)
    for axis, factor in enumerate(factors):
        shape = (*full.shape[:axis], -1, factor, *full.shape[axis + 1 :])
        full = full.reshape(shape).mean(axis=axis + 1)
    return full


def _halved_affine(affine: Affine, factors: tuple[int, int, int]) -> Affine:
    step = np.diag([*factors, 1.0])
    step[:3, 3] = (np.array(factors) - 1) / 2
    return np.asarray(affine @ step, dtype=np.float64)


def _eight_bits(data: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    share = (np.asarray(data, dtype=np.float32) - low) / (high - low)
    return np.asarray(np.rint(np.clip(share, 0.0, 1.0) * 255.0), dtype=np.uint8)
