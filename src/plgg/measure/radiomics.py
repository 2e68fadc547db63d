"""Radiomics of an outlined tumour: shape, place, intensities, edge and texture, as plain numbers.

Names follow the Image Biomarker Standardisation Initiative (Zwanenburg et al. 2020) where it has
them, and so do the formulas of shape and intensity but two: `kurtosis` is not less 3, and
`sphericity` counts the voxels on the surface within slices. Texture is Haralick's co-occurrence
(1973) within slices, 16 grey levels from z = -2 to 6. T2-FLAIR mismatch (Patel et al. 2017) shows
as a core that is darker than the rim, infiltration and oedema beyond the outline as bright shells
around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.volume import Affine, spacing_mm
from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.data.store_arrays import OUTSIDE, decode
from plgg.measure.clinical import CLINICAL_INPUTS, clinical_inputs
from plgg.measure.components import bounding_slices, label_components

Mask = NDArray[np.bool_]
Image = NDArray[np.float32]
Features = dict[str, float]
SHAPE = ("elongation", "flatness", "sphericity", "parts", "largest_part", "both_sides", "depth_mm")
INTENSITY = (
    *("p05", "p25", "p50", "p75", "p95", "mean", "std", "skewness", "kurtosis", "entropy"),
    *("contrast", "core_less_rim", "dark", "dark_core"),
)
EDGE = ("edge_gradient", "inner_gradient", "edge_over_std", "from_surface_mm", "least_surface_mm")
# Distances from the outline between which the brain's mean brightness is taken, in mm.
SHELLS_MM = {
    "shell_3mm": (0, 3),
    "shell_6mm": (3, 6),
    "shell_10mm": (6, 10),
    "shell_20mm": (10, 20),
}
TEXTURE = ("glcm_contrast", "glcm_energy", "glcm_homogeneity", "glcm_correlation", "glcm_entropy")
RADIOMICS_INPUTS = (*CLINICAL_INPUTS, *SHAPE, *INTENSITY, *EDGE, *TEXTURE, *SHELLS_MM)
_FEWEST_VOXELS = 5
_LEVELS, _LOWEST, _HIGHEST = 16, -2.0, 6.0
_SHELL_MM = 6.0
# Neighbours within a slice, one for each pair of opposite directions.
_NEIGHBOURS = ((1, 0), (0, 1), (1, 1), (1, -1))
_MARGIN_MM = 20.0


def radiomics_inputs(
    codes: NDArray[np.int8],
    mask: NDArray[Any],
    affine: Affine,
    *,
    age_years: float | None,
    sex: str | None,
) -> Features:
    """Features by name, those of `RADIOMICS_INPUTS`; undefined ones are left out.

    Args:
        codes: Coded z-scores of the brain box, shape (I, J, K), as the store holds them.
        mask: Tumour on the same grid.
        affine: From voxels of the box to the atlas' world in mm.
        age_years: At the scan.
        sex: Any word for it that begins with m or f.

    Example:
        >>> codes = np.full((8, 8, 4), 10, np.int8)
        >>> mask = np.zeros((8, 8, 4), bool)
        >>> mask[2:6, 2:6, 1:3] = True
        >>> found = radiomics_inputs(codes, mask, np.eye(4), age_years=9.0, sex="F")
        >>> found["age_years"], found["largest_part"], round(found["elongation"], 3)
        (9.0, 1.0, 1.0)
    """
    tumour = np.asarray(mask) > 0
    clinical = clinical_inputs(tumour, affine, age_years=age_years, sex=sex)
    found = dict(zip(CLINICAL_INPUTS, map(float, clinical), strict=True))
    if int((tumour & (codes != OUTSIDE)).sum()) >= _FEWEST_VOXELS:
        found |= _of_tumour(codes, tumour, affine)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _of_tumour(codes: NDArray[np.int8], tumour: Mask, affine: Affine) -> Features:
    spacing = spacing_mm(affine)
    brain = codes != OUTSIDE
    found = _shape(tumour, affine, spacing) | _from_surface(tumour, brain, spacing)
    near = _around(tumour, np.ceil(_MARGIN_MM / spacing).astype(int))
    image = decode(codes[near])
    found |= _intensity(image, tumour[near], brain[near], spacing)
    found |= _edge(image, tumour[near]) | _texture(image, tumour[near])
    found["edge_over_std"] = found["edge_gradient"] / max(found["std"], 1e-3)
    return {name: float(value) for name, value in found.items()}


def _around(tumour: Mask, margin: NDArray[np.int_]) -> tuple[slice, ...]:
    """The tumour's bounding box with a margin."""
    box = zip(bounding_slices(tumour), margin.tolist(), strict=True)
    return tuple(slice(max(side.start - more, 0), side.stop + more) for side, more in box)


def _shape(tumour: Mask, affine: Affine, spacing: NDArray[np.float64]) -> Features:
    places = np.argwhere(tumour) @ affine[:3, :3].T + affine[:3, 3]
    # Variances of the axes, the longest first.
    axes = np.sort(np.linalg.eigvalsh(np.cov(places.T)))[::-1].clip(1e-3)
    surface = float((tumour & ~_inside(tumour)).sum()) * np.sqrt(spacing[0] * spacing[1])
    volume = float(tumour.sum()) * float(np.prod(spacing))
    _, sizes = label_components(tumour)
    right = float((places[:, 0] > BRAIN_CENTRE_MM[0]).mean())
    return {
        "elongation": np.sqrt(axes[1] / axes[0]),
        "flatness": np.sqrt(axes[2] / axes[0]),
        "sphericity": np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / (surface * spacing[2]),
        "parts": np.log(len(sizes)),
        "largest_part": sizes.max() / sizes.sum(),
        "both_sides": min(right, 1 - right),
    }


def _inside(tumour: Mask) -> Mask:
    """Erode a mask by one voxel within each slice."""
    return np.asarray(ndimage.binary_erosion(tumour, np.ones((3, 3, 1))), dtype=np.bool_)


def _from_surface(tumour: Mask, brain: Mask, spacing: NDArray[np.float64]) -> Features:
    """Depth of the tumour below the brain's surface."""
    filled = ndimage.binary_fill_holes(brain)
    depth = ndimage.distance_transform_edt(filled, spacing)[tumour]
    return {"from_surface_mm": depth.mean(), "least_surface_mm": np.percentile(depth, 5)}


def _intensity(image: Image, tumour: Mask, brain: Mask, spacing: NDArray[np.float64]) -> Features:
    values = image[tumour].astype(np.float64)
    percentiles = zip(INTENSITY[:5], np.percentile(values, (5, 25, 50, 75, 95)), strict=True)
    counts = np.histogram(values, np.linspace(_LOWEST, _HIGHEST, 2 * _LEVELS + 1))[0]
    standard = (values - values.mean()) / max(float(values.std()), 1e-6)
    return dict(percentiles) | {
        "mean": values.mean(),
        "std": values.std(),
        "skewness": (standard**3).mean(),
        "kurtosis": (standard**4).mean(),
        "entropy": _entropy(counts),
        "dark": (values < 0.5).mean(),
        **_core_and_rim(image, tumour, brain, spacing),
    }


def _core_and_rim(
    image: Image, tumour: Mask, brain: Mask, spacing: NDArray[np.float64]
) -> Features:
    depth = ndimage.distance_transform_edt(tumour, spacing)
    outside = ndimage.distance_transform_edt(~tumour, spacing)
    deepest = float(depth.max())
    core = depth > 0.6 * deepest
    rim = tumour & (depth <= max(min(4.0, 0.4 * deepest), float(depth[tumour].min())))
    shell = brain & ~tumour & (outside <= _SHELL_MM)
    mean = image[tumour].mean()
    return {
        "depth_mm": deepest,
        "contrast": mean - image[shell].mean() if shell.any() else np.nan,
        "core_less_rim": image[core].mean() - image[rim].mean(),
        "dark_core": (image[core] < 0.7).mean(),
        **_shells(image, outside, brain),
    }


def _shells(image: Image, outside_mm: NDArray[np.float64], brain: Mask) -> Features:
    """Mean brightness of the brain around the tumour, nearer and farther."""
    found = {}
    for name, (nearest, farthest) in SHELLS_MM.items():
        shell = brain & (outside_mm > nearest) & (outside_mm <= farthest)
        found[name] = image[shell].mean() if shell.any() else np.nan
    return found


def _edge(image: Image, tumour: Mask) -> Features:
    """Gradients within slices, of z-scores a voxel, at the outline and within it."""
    gradient = ndimage.gaussian_gradient_magnitude(image, (1, 1, 0))
    inner = _inside(tumour)
    inner_part = inner if inner.any() else tumour
    edge = gradient[tumour & ~inner].mean()
    return {"edge_gradient": edge, "inner_gradient": gradient[inner_part].mean()}


def _texture(image: Image, tumour: Mask) -> Features:
    """Co-occurrence within slices, over all slices and directions; symmetric."""
    share = (image - _LOWEST) / (_HIGHEST - _LOWEST)
    grey = np.clip((share * _LEVELS).astype(int), 0, _LEVELS - 1)
    counts = np.zeros((_LEVELS, _LEVELS))
    for step in _NEIGHBOURS:
        here, there = _pairs(tumour.shape, step)
        both = tumour[here] & tumour[there]
        np.add.at(counts, (grey[here][both], grey[there][both]), 1.0)
    if not counts.any():
        return {}
    return _co_occurrence((counts + counts.T) / (2.0 * counts.sum()))


def _pairs(
    shape: tuple[int, ...], step: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The voxels that have a neighbour at that step, and those neighbours."""
    here, there = [], []
    for n, d in zip(shape, step, strict=False):
        here.append(slice(max(0, -d), n - max(0, d)))
        there.append(slice(max(0, d), n - max(0, -d)))
    return (here[0], here[1]), (there[0], there[1])


def _co_occurrence(p: NDArray[np.float64]) -> Features:
    i, j = np.indices(p.shape)
    mean = float((i * p).sum())
    variance = float(((i - mean) ** 2 * p).sum())
    covariance = float(((i - mean) * (j - mean) * p).sum())
    return {
        "glcm_contrast": ((i - j) ** 2 * p).sum(),
        "glcm_energy": (p**2).sum(),
        "glcm_homogeneity": (p / (1 + abs(i - j))).sum(),
        "glcm_correlation": covariance / variance if variance > 1e-9 else 1.0,
        "glcm_entropy": _entropy(p),
    }


def _entropy(counts: NDArray[Any]) -> float:
    """Of a histogram, in bits."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum()) + 0.0 if p.size else 0.0
