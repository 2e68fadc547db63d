"""The slices that hold tumour, in a row, the largest diameters drawn where they were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plgg.io.result import Diameters
from plgg.report.case.shown import AXES, Plane, Shown, to_voxels
from plgg.report.case.still import Line, Still, still

_MOST = 24


@dataclass(frozen=True)
class Strip:
    """Pictures of one plane.

    Attributes:
        plane: Of the slices.
        stills: From the patient's head down, from the front back, or from right to left.
        measured: Which of the pictures shows the diameters; None if none does.
        n_slices: How many slices hold tumour.
    """

    plane: Plane
    stills: tuple[Still, ...]
    measured: int | None
    n_slices: int


def acquired_plane(shown: Shown) -> Plane:
    """The plane of the scan's own slices: across its thickest axis; axial if all are alike."""
    planes: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
    thickness = {plane: shown.spacing_mm[AXES[plane][0]] for plane in planes}
    return max(planes, key=lambda plane: round(float(thickness[plane]), 2))


def strip_of(shown: Shown, diameters: Diameters | None) -> Strip:
    """Choose slices and draw them; the plane is that of the diameters, or the scan's own."""
    plane = diameters.plane if diameters else acquired_plane(shown)
    across, columns, rows = AXES[plane]
    others = tuple(axis for axis in range(3) if axis != across)
    filled = np.flatnonzero(shown.mask.any(axis=others)).tolist()
    lines: tuple[Line, ...] = ()
    at = None
    if diameters:
        ends = to_voxels(shown, np.array(diameters.ends_mm))
        a, b, c, d = ends[:, [columns, rows]].tolist()
        lines = ((a[0], a[1], b[0], b[1]), (c[0], c[1], d[0], d[1]))
        at = int(np.clip(np.rint(ends[:, across].mean()), 0, shown.mask.shape[across] - 1))
    chosen = spaced(filled, keep=at)
    stills = (still(shown, plane, n, lines=lines if n == at else ()) for n in chosen)
    return Strip(plane, tuple(stills), chosen.index(at) if at in chosen else None, len(filled))


def spaced(slices: list[int], *, keep: int | None, most: int = _MOST) -> list[int]:
    """At most so many of the slices, evenly spaced, with both ends and the one to keep."""
    picks = np.linspace(0, len(slices) - 1, most).round().astype(int).tolist()
    chosen = slices if len(slices) <= most else [slices[n] for n in picks]
    if keep is None or keep in chosen:
        return chosen
    if len(chosen) < most:
        return sorted([*chosen, keep])
    nearest = min(chosen[1:-1], key=lambda n: abs(n - keep))
    return sorted([keep if n == nearest else n for n in chosen])
