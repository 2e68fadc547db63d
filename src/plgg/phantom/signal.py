"""Signal of tissues and tumours on FLAIR, and bright structures that mimic a tumour.

White matter is 1. Fluid is nulled and dark, grey matter brighter than white, as on any FLAIR;
glioma is brighter still, its cysts darker than the solid part but seldom as dark as free fluid
(their protein shortens T1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from plgg.phantom.grid import Box, Raster, box_shape, box_voxel
from plgg.phantom.head import Head, Tissue
from plgg.phantom.lattice import Field3D, noise
from plgg.phantom.plan import Plan
from plgg.phantom.settings import Marker, Population
from plgg.phantom.tumour import Tumour

_CYST_FLOOR = 0.05
_HALO_BRIGHTNESS, _HALO_SEE_THROUGH, _HALO_SOFTNESS_MM = 0.35, 0.35, 2.0


@dataclass(frozen=True)
class Contrast:
    """Signal relative to white matter's.

    Attributes:
        grey: Grey matter.
        fluid: Cerebrospinal fluid.
        patchiness: Relative smooth variation within tissue.
    """

    grey: float
    fluid: float
    patchiness: float


def draw_contrast(rng: np.random.Generator, population: Population) -> Contrast:
    """A person's contrast; in adults grey and white matter differ a little less."""
    grey = 1.22 if population == "child" else 1.16
    return Contrast(
        grey=float(np.clip(rng.normal(grey, 0.03), 1.08, 1.35)),
        fluid=float(rng.uniform(0.22, 0.38)),
        patchiness=float(rng.uniform(0.02, 0.04)),
    )


def sequence_contrast(contrast: Contrast, sequence: str) -> Contrast:
    """The same head on another sequence: fluid is bright on T2, grey matter dark on T1."""
    if sequence == "t2":
        return replace(
            contrast, grey=1.05 + 0.9 * (contrast.grey - 1.0), fluid=8.0 * contrast.fluid
        )
    return replace(contrast, grey=0.92 - contrast.grey / 8.0, fluid=contrast.fluid)


def sequence_plan(plan: Plan, sequence: str) -> Plan:
    """The same tumour on another sequence: dark on T1, with a bright rim after contrast."""
    if sequence == "t2":
        return plan
    rim = 0.6 if sequence == "t1c" else 0.0
    return replace(plan, brightness=-0.45 * plan.brightness, rim=rim)


def normal_signal(tissue: Tissue, contrast: Contrast, rng: np.random.Generator) -> Field3D:
    """Signal of the head without its tumour; 0 outside the brain."""
    signal: Field3D = tissue.white + contrast.grey * tissue.grey + contrast.fluid * tissue.fluid
    for spacing in (24.0, 6.0):
        signal *= 1.0 + contrast.patchiness * noise(
            rng, box_shape(), spacing, tissue.raster.points_mm
        )
    return signal


def add_tumour(signal: Field3D, tumour: Tumour, plan: Plan, contrast: Contrast) -> None:
    """Paint a tumour into a signal, in place.

    The border fades over the plan's softness and is half-way at the edge of the mask.
    """
    if tumour.halo_mm is not None:
        _add_halo(signal, tumour.box, tumour.halo_mm, plan, contrast)
    here = signal[tumour.box]
    solid = contrast.grey + plan.brightness * (1.0 + plan.texture * 2.0 * tumour.unevenness)
    rim = np.exp(-(((tumour.depth_mm - 1.5) / 1.5) ** 2))
    wall = 4.0 * tumour.cyst * (1.0 - tumour.cyst)
    solid += plan.rim * np.maximum(rim, wall)
    solid += plan.see_through * (here - contrast.grey)
    cyst = contrast.fluid + _CYST_FLOOR + plan.cyst_signal * (1.0 - contrast.fluid)
    inside = solid + tumour.cyst * (cyst - solid)
    presence = expit(2.0 * tumour.depth_mm / plan.softness_mm)
    signal[tumour.box] = np.where(here > 0, here + presence * (inside - here), 0.0)


def _add_halo(signal: Field3D, box: Box, depth_mm: Field3D, plan: Plan, contrast: Contrast) -> None:
    """Paint the halo of a tumour: less bright than it, the same for oedema and infiltration."""
    here = signal[box]
    shown = _HALO_SEE_THROUGH * (here - contrast.grey)
    bright = contrast.grey + _HALO_BRIGHTNESS * plan.brightness + shown
    presence = expit(2.0 * depth_mm / _HALO_SOFTNESS_MM)
    signal[box] = np.where(here > 0, here + presence * (bright - here), 0.0)


class _Decoy(NamedTuple):
    """A decoy: its centre (MNI, mm), probability, width, signal and tissue."""

    where_mm: tuple[float, float, float]
    chance: float
    width_mm: float
    signal: float
    tissue: str


_DECOYS = (
    _Decoy((17, 32, 8), 0.8, 4.0, 0.55, "white"),
    _Decoy((-17, 32, 8), 0.8, 4.0, 0.55, "white"),
    _Decoy((27, -52, 18), 0.7, 5.0, 0.45, "white"),
    _Decoy((-27, -52, 18), 0.7, 5.0, 0.45, "white"),
    _Decoy((20, -42, 12), 0.6, 3.5, 1.30, "fluid"),
    _Decoy((-20, -42, 12), 0.6, 3.5, 1.30, "fluid"),
    _Decoy((0, -46, -30), 0.4, 5.0, 1.10, "fluid"),
    _Decoy((0, -18, -38), 0.3, 6.0, 0.80, "fluid"),
)
_SPOTS: dict[Population, tuple[int, int]] = {"child": (0, 7), "adult": (2, 14)}


def add_decoys(
    signal: Field3D, tissue: Tissue, head: Head, *, population: Population, rng: np.random.Generator
) -> None:
    """Paint decoys into a signal, in place; they keep to their own tissue."""
    for site in _DECOYS:
        strength, width = rng.uniform(0.5, 1.2), rng.uniform(0.7, 1.3)
        point = np.array(site.where_mm) + rng.normal(0.0, 1.5, 3)
        if rng.random() < site.chance:
            share = tissue.white if site.tissue == "white" else tissue.fluid
            at = box_voxel(head.patient_point(point))
            add_blob(
                signal,
                share,
                at,
                raster=tissue.raster,
                width_mm=width * site.width_mm,
                signal=strength * site.signal,
            )
    _add_white_matter_spots(signal, tissue, rng, population)


def _add_white_matter_spots(
    signal: Field3D, tissue: Tissue, rng: np.random.Generator, population: Population
) -> None:
    low, high = _SPOTS[population]
    for _ in range(int(rng.integers(low, high))):
        at = _white_voxel(tissue, rng)
        width, strength = rng.uniform(0.9, 2.6), rng.uniform(0.4, 0.9)
        add_blob(signal, tissue.white, at, raster=tissue.raster, width_mm=width, signal=strength)


def _white_voxel(tissue: Tissue, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random position in white matter; after many tries the last one, wherever it is."""
    at = np.zeros(3, dtype=np.int64)
    for _ in range(200):
        at = rng.integers(0, box_shape())
        if tissue.white[tissue.raster.nearest(at)] > 0.95:
            break
    return at.astype(np.float64)


def add_blob(
    image: Field3D,
    share: Field3D,
    at: NDArray[np.float64],
    *,
    raster: Raster,
    width_mm: float,
    signal: float,
) -> None:
    """Add a Gaussian blob, weighted by a tissue's share, at a position in the box in mm."""
    reach = int(3 * width_mm) + 1
    box = raster.between([int(x) - reach for x in at], [int(x) + reach + 1 for x in at])
    i, j, k = (points[part] for points, part in zip(raster.points_mm, box, strict=True))
    x, y, z = (
        np.exp(-0.5 * ((axis - x) / width_mm) ** 2).astype(np.float32)
        for axis, x in zip((i, j, k), at, strict=True)
    )
    profile = x[:, None, None] * y[None, :, None] * z[None, None, :]
    image[box] += signal * profile * share[box]


# MNI mm, on the patient's right, mirrored on the left. A fusion has no spots.
_PLACES: dict[Marker, tuple[float, float, float]] = {
    "BRAF_V600E": (15.0, -56.0, -35.0),  # dentate nucleus
    "other": (21.0, -3.0, -2.0),  # pallidum
}
_WIDTH_MM, _LOSS = (4.5, 6.5), (0.55, 0.8)


def add_spots(
    signal: Field3D,
    tissue: Tissue,
    head: Head,
    *,
    marker: Marker,
    width: float = 1.0,
    rng: np.random.Generator,
) -> None:
    """Paint the spots of a class into a signal, in place, one on each side.

    Args:
        signal: Relative to white matter's.
        tissue: The head's tissues, on its box.
        head: Map from the patient to the template.
        marker: Class of the spots.
        width: Their width, relative to the usual one.
        rng: The patient's own stream.
    """
    if marker not in _PLACES:
        return
    solid = tissue.grey + tissue.white
    for side in (1.0, -1.0):
        at = np.array(_PLACES[marker]) * (side, 1.0, 1.0) + rng.normal(0.0, 1.0, 3)
        width_mm, loss = width * float(rng.uniform(*_WIDTH_MM)), float(rng.uniform(*_LOSS))
        point = box_voxel(head.patient_point(at))
        add_blob(signal, solid, point, raster=tissue.raster, width_mm=width_mm, signal=-loss)
