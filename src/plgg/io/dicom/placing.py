"""The lattice of a scan put into its headers, in place of what each of them says of geometry.

Headers round their positions, and distances between slices that are written down are often wrong;
a segmentation that copied them would lie beside the mask. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from plgg.io.dicom.values import first, number
from plgg.volume import Affine, apply_affine, spacing_mm

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def place_slices(headers: Sequence[Dataset], affine: Affine) -> None:
    """Put classic headers, one a slice, on the lattice.

    Args:
        headers: In the order of the volume's last axis; changed.
        affine: Of the volume, voxel to world, RAS+ in mm.
    """
    for index, header in enumerate(headers):
        header.update(_orientation(affine))
        header.update(_measures(affine, header.get("SliceThickness")))
        header.update(_position(affine, index))


def place_frames(header: Dataset, frames: Sequence[int], affine: Affine) -> None:
    """Cut an enhanced header down to some frames, and put these on the lattice.

    Args:
        header: Changed; of its functional groups only the geometry is left.
        frames: Which of its frames each slice of the volume is, from 0.
        affine: Of the volume, voxel to world, RAS+ in mm.
    """
    groups = [
        header.PerFrameFunctionalGroupsSequence[frames[0]],
        *header.get("SharedFunctionalGroupsSequence", []),
        header,
    ]
    shared = Dataset()
    shared.PlaneOrientationSequence = [_orientation(affine)]
    shared.PixelMeasuresSequence = [_measures(affine, first(groups, "SliceThickness"))]
    header.SharedFunctionalGroupsSequence = [shared]
    header.PerFrameFunctionalGroupsSequence = [_frame(affine, k) for k in range(len(frames))]
    header.NumberOfFrames = len(frames)


def _frame(affine: Affine, index: int) -> Dataset:
    frame = Dataset()
    frame.PlanePositionSequence = [_position(affine, index)]
    return frame


def _orientation(affine: Affine) -> Dataset:
    turned = (_RAS_TO_LPS @ affine)[:3, :3] / spacing_mm(affine)
    item = Dataset()
    item.ImageOrientationPatient = _text([*turned[:, 0], *turned[:, 1]])
    return item


def _measures(affine: Affine, thickness: Any) -> Dataset:  # noqa: ANN401
    between_columns, between_rows, _ = spacing_mm(affine)
    normal = np.cross(affine[:3, 0], affine[:3, 1]) / (between_columns * between_rows)
    apart = abs(float(normal @ affine[:3, 2]))
    own = number(thickness, 0.0)
    item = Dataset()
    item.PixelSpacing = _text([between_rows, between_columns])
    (item.SpacingBetweenSlices,) = _text([apart])
    (item.SliceThickness,) = _text([own if own > 0 else apart])
    return item


def _position(affine: Affine, index: int) -> Dataset:
    item = Dataset()
    item.ImagePositionPatient = _text(apply_affine(_RAS_TO_LPS @ affine, np.array([0, 0, index])))
    return item


def _text(numbers: Any) -> list[str]:  # noqa: ANN401
    return [format_number_as_ds(float(one)) for one in numbers]
