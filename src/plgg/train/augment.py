"""Strong augmentation of training patches: first parameters are sampled, then they are applied.

Rotation, scaling and shift; thick slices, contrast, bias fields, noise. Voxels outside the brain
stay 0 and are not interpolated with brain voxels. General libraries mix them at the brain's edge,
and use random generators of their own. Works on arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional

from plgg.config import Augmentation

Volume = Float[Tensor, "1 c i j k"]
Vector = tuple[float, float, float]

_MOVE = 0.03  # Largest shift of a warp, share of a side.
_STRETCH = 0.3  # Axes of their own, share of the zoom.
_GAMMA = 0.35  # Largest |log γ|.
_BIAS = 0.25  # σ of the field's nodes, in σ of the image.
_NODES = 4
_NOISE = 0.2  # Largest σ of the noise, in σ of the image.
_ELASTIC = 0.015  # σ of a deformation's nodes, in halves of a side.
_ELASTIC_NODES = 6
_BLUR = 1.0  # Largest σ of a blur, in voxels.


@dataclass(frozen=True)
class Warp:
    """Rotation, scaling along each axis and shift about the patch's centre, and deformation.

    Attributes:
        angles_deg: Rotation about the axes i, j, k.
        factors: Scale along each axis; over 1, the contents become smaller.
        shift: Share of each side.
        elastic_seed: Seed of a smooth deformation; None for none.
    """

    angles_deg: Vector
    factors: Vector
    shift: Vector
    elastic_seed: int | None = None


@dataclass(frozen=True)
class AugmentationParameters:
    """Parameters of one augmentation; None where a part is not applied.

    Attributes:
        warp: Spatial transform of image and mask.
        thick: Axis and thickness in voxels of slices that are averaged.
        gamma: Exponent on the intensities between the patch's extremes.
        bias_seed: Seed of a smooth field that is added.
        noise: Standard deviation in σ, and seed.
        smoothed: σ of a blur in the plane, in voxels; 0 for none.
    """

    warp: Warp | None = None
    thick: tuple[int, int] | None = None
    gamma: float | None = None
    bias_seed: int | None = None
    noise: tuple[float, int] | None = None
    smoothed: float = 0.0


def sample_augmentation(
    settings: Augmentation, rng: np.random.Generator, *, in_plane: bool = False
) -> AugmentationParameters | None:
    """Sample parameters; None, without a draw from `rng`, where all parts are switched off.

    Args:
        settings: Probabilities and sizes.
        rng: Random generator.
        in_plane: Whether slices must stay in their plane, axes 0 and 1.
    """
    chances = (settings.warp, settings.anisotropy, settings.gamma, settings.bias, settings.noise)
    later = (settings.elastic, settings.smoothing)
    if not any((*chances, *later)):
        return None
    warp, anisotropy, gamma, bias, noise = (rng.random() < chance for chance in chances)
    change = AugmentationParameters(
        warp=_sample_warp(settings, rng, in_plane=in_plane) if warp else None,
        thick=(int(rng.integers(2 if in_plane else 3)), int(rng.integers(2, 4)))
        if anisotropy
        else None,
        gamma=float(np.exp(rng.uniform(-_GAMMA, _GAMMA))) if gamma else None,
        bias_seed=int(rng.integers(2**32)) if bias else None,
        noise=(float(rng.uniform(0, _NOISE)), int(rng.integers(2**32))) if noise else None,
    )
    if settings.elastic and rng.random() < settings.elastic:
        moved = replace(change.warp or _STILL, elastic_seed=int(rng.integers(2**32)))
        change = replace(change, warp=moved)
    if settings.smoothing and rng.random() < settings.smoothing:
        change = replace(change, smoothed=float(rng.uniform(0.3, _BLUR)))
    return change


_STILL = Warp((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def _sample_warp(settings: Augmentation, rng: np.random.Generator, *, in_plane: bool) -> Warp:
    largest = np.log1p(settings.zoom)
    together = rng.uniform(-largest, largest)
    alone = _STRETCH * rng.uniform(-largest, largest, 3)
    angles = rng.uniform(-settings.rotation_deg, settings.rotation_deg, 3)
    factors, shift = np.exp(together + alone), rng.uniform(-_MOVE, _MOVE, 3)
    if in_plane:
        angles[:2], factors[2], shift[2] = 0.0, 1.0, 0.0
    return Warp(_vector(angles), _vector(factors), _vector(shift))


def _vector(values: NDArray[np.float64]) -> Vector:
    i, j, k = values.tolist()
    return i, j, k


def apply_augmentation(
    image: NDArray[np.float32],
    brain: NDArray[np.bool_],
    mask: NDArray[np.float32],
    change: AugmentationParameters,
    n_sequences: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Apply an augmentation to a patch.

    Args:
        image: z-scores, shape (C, I, J, K), or (I, J, K) of one channel.
        brain: Brain mask of each channel, same shape.
        mask: Tumour, 0 or 1, shape (I, J, K), or (R, I, J, K) of several regions.
        change: The parameters.
        n_sequences: How many of the channels are sequences; further ones are their neighbouring
            slices, and have the same contrast and bias field. All by default.

    Returns:
        New image, brain and mask of the same shapes and types; the image is 0 outside the brain.
    """
    if image.ndim == 3:
        values, inside, tumour = apply_augmentation(image[None], brain[None], mask, change)
        return values[0], inside[0], tumour
    regions = mask if mask.ndim == 4 else mask[None]
    values, inside, tumour = _as_arrays(
        *_changed(_as_tensor(image), _as_tensor(brain), _as_tensor(regions), change, n_sequences)
    )
    return values, inside, tumour if mask.ndim == 4 else tumour[0]


def _as_tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None]


def _as_arrays(
    values: Volume, inside: Volume, tumour: Volume
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    kept = inside > 0
    return values.where(kept, 0.0)[0].numpy(), kept[0].numpy(), tumour[0].numpy()


def _changed(
    values: Volume,
    inside: Volume,
    tumour: Volume,
    change: AugmentationParameters,
    n_sequences: int | None,
) -> tuple[Volume, Volume, Volume]:
    if change.warp is not None:
        values, inside, tumour = _warped(change.warp, values, inside, tumour)
    if change.thick is not None:
        values = _averaged(values, inside, *change.thick)
    if change.smoothed:
        values = _smoothed(values, inside, change.smoothed)
    n, values = n_sequences or values.shape[1], values.clone()
    for sequence in range(n):
        own = slice(sequence, None, n)
        values[:, own] = _contrasted(values[:, own], inside[:, own], change, sequence)
    if change.noise is not None:
        values = values + _noise(values.shape[1:], *change.noise)
    return values, inside, tumour


def _contrasted(
    values: Volume, inside: Volume, change: AugmentationParameters, sequence: int
) -> Volume:
    """Apply gamma and a bias field of its own to one sequence and its neighbouring slices."""
    if change.gamma is not None:
        values = _adjust_gamma(values, inside, change.gamma)
    if change.bias_seed is not None:
        values = values + _bias_field(values, change.bias_seed + sequence)
    return values


def _noise(shape: tuple[int, ...], spread: float, seed: int) -> Tensor:
    drawn = [
        np.random.default_rng(seed + channel).standard_normal(shape[1:], dtype=np.float32)
        for channel in range(shape[0])
    ]
    return spread * torch.from_numpy(np.stack(drawn))[None]


def _warped(
    warp: Warp, image: Volume, brain: Volume, mask: Volume
) -> tuple[Volume, Volume, Volume]:
    """Warp by linear interpolation; at the brain's edge only brain voxels are interpolated."""
    sides = np.array(image.shape[2:], dtype=float)
    turn = Rotation.from_euler("xyz", warp.angles_deg, degrees=True).as_matrix()
    matrix = np.diag(1 / sides) @ turn @ np.diag(np.array(warp.factors) * sides)
    # affine_grid counts from the last axis, in halves of a side.
    theta = np.column_stack([matrix[::-1, ::-1], 2 * np.array(warp.shift)[::-1]])
    grid = functional.affine_grid(
        torch.from_numpy(theta).float()[None], [1, 1, *image.shape[2:]], align_corners=False
    )
    if warp.elastic_seed is not None:
        grid = grid + _deformation(grid.shape[1:4], warp.elastic_seed)
    n = image.shape[1]
    stacked = torch.cat([image, brain, mask], dim=1)
    moved = functional.grid_sample(stacked, grid, mode="bilinear", align_corners=False)
    inside = moved[:, n : 2 * n] > 0.5
    values = (moved[:, :n] / moved[:, n : 2 * n].clamp(min=0.5)).masked_fill(~inside, 0.0)
    return values, inside.float(), (moved[:, 2 * n :] >= 0.5).float()


def _deformation(size: torch.Size, seed: int) -> Tensor:
    """Smooth random shifts in the units of `grid_sample`; 0 along an axis of one voxel."""
    drawn = np.random.default_rng(seed).normal(0, _ELASTIC, (1, 3, *[_ELASTIC_NODES] * 3))
    nodes = torch.from_numpy(drawn.astype(np.float32))
    smooth = functional.interpolate(nodes, size=list(size), mode="trilinear", align_corners=True)
    still = torch.tensor([float(n > 1) for n in reversed(size)])
    return smooth.permute(0, 2, 3, 4, 1) * still


def _smoothed(image: Volume, brain: Volume, sigma: float) -> Volume:
    """Blur in the plane, among brain voxels only."""
    reach = max(1, round(2 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    line = line / line.sum()
    n = image.shape[1]
    stacked = torch.cat([image * brain, brain], dim=1)
    for axis in (2, 3):
        shape = [1, 1, 1, 1, 1]
        shape[axis] = len(line)
        kernel = line.view(shape).expand(2 * n, 1, *shape[2:])
        padding = [reach if other == axis else 0 for other in (2, 3, 4)]
        stacked = functional.conv3d(stacked, kernel, padding=padding, groups=2 * n)
    return stacked[:, :n] / stacked[:, n:].clamp(min=1e-3)


def _averaged(image: Volume, brain: Volume, axis: int, thickness: int) -> Volume:
    """Running means over neighbouring slices, of brain voxels only."""
    kernel = [thickness if other == axis else 1 for other in range(3)]
    # An even number of slices reaches one further back than ahead.
    before, after = (thickness - 1) // 2, thickness // 2
    pad = [side for other in (2, 1, 0) for side in ((before, after) if other == axis else (0, 0))]

    def mean(values: Volume) -> Volume:
        return functional.avg_pool3d(functional.pad(values, pad), kernel, stride=1)

    return mean(image * brain) / mean(brain).clamp(min=1e-3)


def _adjust_gamma(image: Volume, brain: Volume, gamma: float) -> Volume:
    """Gamma curve between the brain's extremes; keeps its mean and standard deviation."""
    inside = image[brain > 0]
    if inside.numel() < 2:
        return image
    low, high = inside.min(), inside.max()
    width = (high - low).clamp(min=1e-6)
    values = ((image - low) / width).clamp(0, 1) ** gamma
    curved = values[brain > 0]
    spread = inside.std() / curved.std().clamp(min=1e-6)
    return (values - curved.mean()) * spread + inside.mean()


def _bias_field(image: Volume, seed: int) -> Volume:
    """A smooth field: trilinear between 4×4×4 normal nodes."""
    nodes = np.random.default_rng(seed).normal(0, _BIAS, (1, 1, *[_NODES] * 3)).astype(np.float32)
    size = list(image.shape[2:])
    return functional.interpolate(
        torch.from_numpy(nodes), size=size, mode="trilinear", align_corners=True
    )
