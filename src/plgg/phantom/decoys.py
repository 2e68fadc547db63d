"""Bright things on FLAIR that are no tumour: caps, spots in white matter, choroid plexus and flow.

Periventricular caps and punctate white-matter hyperintensities are normal or age-related (Fazekas
et al. 1987, AJR); flowing fluid escapes nulling in the fourth ventricle and the cisterns. They are
never in the mask unless a tumour has grown over them. Knows nothing of tumours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plgg.phantom.grid import Raster, box_shape, box_voxel
from plgg.phantom.head import Head, Tissue
from plgg.phantom.lattice import Field3D
from plgg.phantom.settings import Population


class _Site(NamedTuple):
    """Where a decoy lies (MNI mm), how often, how wide, how bright and in which tissue."""

    where_mm: tuple[float, float, float]
    chance: float
    width_mm: float
    signal: float
    tissue: str


_SITES = (
    _Site((17, 32, 8), 0.8, 4.0, 0.55, "white"),
    _Site((-17, 32, 8), 0.8, 4.0, 0.55, "white"),
    _Site((27, -52, 18), 0.7, 5.0, 0.45, "white"),
    _Site((-27, -52, 18), 0.7, 5.0, 0.45, "white"),
    _Site((20, -42, 12), 0.6, 3.5, 1.30, "fluid"),
    _Site((-20, -42, 12), 0.6, 3.5, 1.30, "fluid"),
    _Site((0, -46, -30), 0.4, 5.0, 1.10, "fluid"),
    _Site((0, -18, -38), 0.3, 6.0, 0.80, "fluid"),
)
_SPOTS: dict[Population, tuple[int, int]] = {"child": (0, 7), "adult": (2, 14)}


def add_decoys(
    signal: Field3D, tissue: Tissue, head: Head, *, population: Population, rng: np.random.Generator
) -> None:
    """Paint decoys into a signal, in place; they keep to their own tissue."""
    for site in _SITES:
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
    _add_spots(signal, tissue, rng, population)


def _add_spots(
    signal: Field3D, tissue: Tissue, rng: np.random.Generator, population: Population
) -> None:
    low, high = _SPOTS[population]
    for _ in range(int(rng.integers(low, high))):
        at = _white_voxel(tissue, rng)
        width, strength = rng.uniform(0.9, 2.6), rng.uniform(0.4, 0.9)
        add_blob(signal, tissue.white, at, raster=tissue.raster, width_mm=width, signal=strength)


def _white_voxel(tissue: Tissue, rng: np.random.Generator) -> NDArray[np.float64]:
    """A position in white matter; the last of many tries is taken as it comes."""
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
