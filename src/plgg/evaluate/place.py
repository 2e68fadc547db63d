"""Where a tumour lies in the head: its side, and above or below the tentorium.

Only a scan that was registered to the atlas has such a place; a mask in a store has its placement
beside it. Knows nothing of predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.evaluate.row import Region, Side
from plgg.io.manifest import Case
from plgg.io.sri24 import BRAIN_CENTRE_MM
from plgg.io.store import read_record
from plgg.volume import Volume, apply_affine

_MIDLINE_MM = 10.0


@dataclass(frozen=True)
class Place:
    """Side and region of a tumour's centre."""

    side: Side
    region: Region


def tumour_place(case: Case, truth: Volume) -> Place | None:
    """Place of the true tumour's centre of mass.

    Returns:
        None where the mask is empty, lies in no store, or its scan was only moved to the atlas'
        centre: scanner coordinates alone do not tell.

    Raises:
        StoreError: If the store's record of the case cannot be read.
    """
    path = case.mask
    if path is None or not path.with_name("case.json").is_file() or not (truth.data > 0).any():
        return None
    record = read_record(path.parents[2], path.parent.name)
    if record.settings.registration == "centre":
        return None
    centre = apply_affine(truth.affine, np.argwhere(truth.data > 0).mean(axis=0))
    return place_of(apply_affine(np.array(record.placement.native_to_atlas), centre))


def place_of(point_mm: NDArray[np.float64]) -> Place:
    """Place of a point in the atlas' world.

    Within 10 mm of the midline is neither side. The tentorium is taken as the surface
    z = -20 - 0.5 |x| - 0.3 y - 0.008 y² in mm from the brain's centre, fitted to SRI24's own
    supratentorial mask, of which it gets 98.6 % of the brain's voxels right.

    Args:
        point_mm: RAS+ coordinates, shape (3,).
    """
    x, y, z = (float(value) for value in point_mm - BRAIN_CENTRE_MM)
    tentorium = -20.0 - 0.5 * abs(x) - 0.3 * y - 0.008 * y * y
    side: Side = "midline" if abs(x) <= _MIDLINE_MM else "right" if x > 0 else "left"
    return Place(side, "supratentorial" if z >= tentorium else "infratentorial")
