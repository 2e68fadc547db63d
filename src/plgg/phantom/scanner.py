"""Simulate a scanner: coil shading, gain, noise, thick slices.

Noise is Rician: the magnitude of a complex signal with Gaussian noise in both parts (Gudbjartsson
and Patz 1995, Magn Reson Med).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.core.volume import Affine
from plgg.phantom.grid import ONE_MM, Raster, box_shape
from plgg.phantom.lattice import Field3D, noise
from plgg.phantom.settings import Population


@dataclass(frozen=True)
class Site:
    """A hospital, and the properties of its scanner.

    Attributes:
        name: Name in the manifest.
        gain: Stored value of white matter.
        shading: Relative strength of the bias field.
        noise: Standard deviation of the noise relative to white matter's signal.
    """

    name: str
    gain: float
    shading: float
    noise: float


SITES: dict[Population, tuple[Site, ...]] = {
    "child": (
        Site("north", 320.0, 0.10, 0.045),
        Site("harbour", 900.0, 0.13, 0.060),
        Site("hill", 150.0, 0.08, 0.075),
    ),
    "adult": (
        Site("city", 480.0, 0.10, 0.055),
        Site("valley", 1300.0, 0.07, 0.045),
        Site("coast", 220.0, 0.14, 0.075),
    ),
}
_SITE_SHARES = (0.5, 0.3, 0.2)


def draw_site(rng: np.random.Generator, population: Population) -> Site:
    """A hospital; it does not depend on the marker."""
    return SITES[population][int(rng.choice(3, p=_SITE_SHARES))]


def acquire(
    signal: Field3D,
    brain: NDArray[np.bool_],
    site: Site,
    rng: np.random.Generator,
    raster: Raster = ONE_MM,
) -> NDArray[np.int16]:
    """The stored image: int16, at least 1 in the brain and 0 outside (skull-stripped).

    Noise is that of a mean over a voxel's cubic millimetres.
    """
    shading = np.exp(site.shading * noise(rng, box_shape(), 60.0, raster.points_mm))
    true = (signal * shading)[brain]
    sigma = np.float32(site.noise / raster.spacing_mm**1.5)
    real = true + sigma * rng.standard_normal(true.size, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(true.size, dtype=np.float32)
    gain = site.gain * float(rng.lognormal(0.0, 0.1))
    image = np.zeros(signal.shape, dtype=np.int16)
    image[brain] = np.clip(np.rint(gain * np.hypot(real, imaginary)), 1, 32_000)
    return image


def thick_affine(affine: Affine, n_thin: int, n_thick: int) -> Affine:
    """The affine of `n_thick` slices over the extent of `n_thin` ones."""
    ratio = n_thin / n_thick
    step = np.diag([1.0, 1.0, ratio, 1.0])
    step[2, 3] = (ratio - 1.0) / 2.0
    return np.asarray(affine @ step, dtype=np.float64)


def n_thick_slices(n_thin: int, thickness: float) -> int:
    """Number of slices nearest to a thickness, in thin ones, that fill the same extent."""
    return max(round(n_thin / thickness), 1)


def thicken(
    flair: NDArray[np.int16], mask: NDArray[np.bool_], n_thick: int
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Average an image and its mask into fewer slices.

    A thick voxel is brain where half of it is; its value is the mean over its brain. The mask is
    the voxels that hold most tumour, as many as give the same volume.

    Args:
        flair: Shape (I, J, K), 0 outside the brain.
        mask: Same shape.
        n_thick: Number of slices wanted.

    Returns:
        Image and mask of shape (I, J, n_thick).
    """
    overlap = _overlap(flair.shape[2], n_thick)
    brain = (flair > 0).astype(np.float32) @ overlap
    signal = flair.astype(np.float32) @ overlap
    inside = brain >= 0.5
    image = np.zeros(inside.shape, dtype=np.int16)
    image[inside] = np.maximum(np.rint(signal[inside] / brain[inside]), 1)
    tumour = np.where(inside, mask.astype(np.float32) @ overlap, 0.0)
    return image, _largest(tumour, round(float(mask.sum()) * n_thick / flair.shape[2]))


def _overlap(n_thin: int, n_thick: int) -> NDArray[np.float32]:
    """Share of each thick slice that each thin one fills; shape (n_thin, n_thick)."""
    edges = np.arange(n_thick + 1) * n_thin / n_thick
    thin = np.arange(n_thin)[:, None]
    shared = np.minimum(thin + 1, edges[1:]) - np.maximum(thin, edges[:-1])
    return np.asarray(np.maximum(shared, 0.0) * n_thick / n_thin, dtype=np.float32)


def _largest(share: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """The `count` voxels of the largest share; ties go by position."""
    order = np.argsort(-share, axis=None, kind="stable")[:count]
    chosen = np.zeros(share.size, dtype=np.bool_)
    chosen[order] = True
    return chosen.reshape(share.shape) & (share > 0)
