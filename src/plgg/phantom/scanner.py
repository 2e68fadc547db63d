"""What a hospital's scanner does to a signal: coil shading, gain and noise.

Noise is Rician: the magnitude of a complex signal with Gaussian noise in both parts (Gudbjartsson
and Patz 1995, Magn Reson Med). Knows nothing of anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.phantom.grid import ONE_MM, Raster, box_shape
from plgg.phantom.lattice import Field3D, noise
from plgg.phantom.settings import Population


@dataclass(frozen=True)
class Site:
    """A hospital: its name and its scanner's habits.

    Attributes:
        name: As in the manifest.
        gain: Stored number of white matter's signal.
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
