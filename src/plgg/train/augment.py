"""Stronger changes of a training patch: what is changed is sampled apart from the changing.

Heads turned, stretched and moved; thick slices, contrast, bias fields, noise. What is outside the
brain stays 0 and never mixes with it; general libraries blend them at the brain's edge, and draw
from generators of their own. Arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional

from plgg.config import Augmentation

Volume = Float[Tensor, "1 1 i j k"]
Vector = tuple[float, float, float]

_MOVE = 0.03  # Largest shift of a warp, share of a side.
_STRETCH = 0.3  # Axes of their own, share of the zoom.
_GAMMA = 0.35  # Largest |log γ|.
_BIAS = 0.25  # σ of the field's nodes, in σ of the image.
_NODES = 4
_NOISE = 0.2  # Largest σ of the noise, in σ of the image.


@dataclass(frozen=True)
class Warp:
    """A turn, a change of size along each axis and a shift, about the patch's centre.

    Attributes:
        angles_deg: About the axes i, j, k.
        factors: A patch is seen smaller where they are over 1.
        shift: Share of each side.
    """

    angles_deg: Vector
    factors: Vector
    shift: Vector


@dataclass(frozen=True)
class AugmentationParameters:
    """One strong change; None where that part is left out.

    Attributes:
        warp: Of image and mask.
        thick: Axis and thickness in voxels of slices that are averaged.
        gamma: Exponent on the intensities between the patch's extremes.
        bias_seed: Of a smooth field that is added.
        noise: Standard deviation in σ, and seed.
    """

    warp: Warp | None = None
    thick: tuple[int, int] | None = None
    gamma: float | None = None
    bias_seed: int | None = None
    noise: tuple[float, int] | None = None


def sample_augmentation(
    settings: Augmentation, rng: np.random.Generator
) -> AugmentationParameters | None:
    """Draw a change; None, and no number drawn, where all are switched off."""
    chances = (settings.warp, settings.anisotropy, settings.gamma, settings.bias, settings.noise)
    if not any(chances):
        return None
    warp, anisotropy, gamma, bias, noise = (rng.random() < chance for chance in chances)
    return AugmentationParameters(
        warp=_sample_warp(settings, rng) if warp else None,
        thick=(int(rng.integers(3)), int(rng.integers(2, 4))) if anisotropy else None,
        gamma=float(np.exp(rng.uniform(-_GAMMA, _GAMMA))) if gamma else None,
        bias_seed=int(rng.integers(2**32)) if bias else None,
        noise=(float(rng.uniform(0, _NOISE)), int(rng.integers(2**32))) if noise else None,
    )


def _sample_warp(settings: Augmentation, rng: np.random.Generator) -> Warp:
    largest = np.log1p(settings.zoom)
    together = rng.uniform(-largest, largest)
    alone = _STRETCH * rng.uniform(-largest, largest, 3)
    return Warp(
        _vector(rng.uniform(-settings.rotation_deg, settings.rotation_deg, 3)),
        _vector(np.exp(together + alone)),
        _vector(rng.uniform(-_MOVE, _MOVE, 3)),
    )


def _vector(values: NDArray[np.float64]) -> Vector:
    i, j, k = values.tolist()
    return i, j, k


def apply_augmentation(
    image: NDArray[np.float32],
    brain: NDArray[np.bool_],
    mask: NDArray[np.float32],
    change: AugmentationParameters,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """AugmentationParameters a patch.

    Args:
        image: z-scores, shape (C, I, J, K), or (I, J, K) of one channel.
        brain: Where they count, same shape.
        mask: Tumour, 0 or 1, shape (I, J, K).
        change: What is changed.

    Returns:
        All three anew, same shapes and types; the image is 0 outside the brain.
    """
    if image.ndim == 3:
        return _changed(image, brain, mask, change, 0)
    done = [
        _changed(values, inside, mask, change, channel)
        for channel, (values, inside) in enumerate(zip(image, brain, strict=True))
    ]
    return np.stack([one[0] for one in done]), np.stack([one[1] for one in done]), done[0][2]


def _changed(
    image: NDArray[np.float32],
    brain: NDArray[np.bool_],
    mask: NDArray[np.float32],
    change: AugmentationParameters,
    channel: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """One channel: moved and thickened as the others, with a bias field and noise of its own."""
    values, inside, tumour = (
        torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None, None]
        for array in (image, brain, mask)
    )
    if change.warp is not None:
        values, inside, tumour = _warped(change.warp, values, inside, tumour)
    if change.thick is not None:
        values = _averaged(values, inside, *change.thick)
    if change.gamma is not None:
        values = _adjust_gamma(values, inside, change.gamma)
    if change.bias_seed is not None:
        values = values + _bias_field(values, change.bias_seed + channel)
    if change.noise is not None:
        spread, seed = change.noise
        drawn = np.random.default_rng(seed + channel).standard_normal(image.shape, dtype=np.float32)
        values = values + spread * torch.from_numpy(drawn)
    kept = inside > 0
    return values.where(kept, 0.0)[0, 0].numpy(), kept[0, 0].numpy(), tumour[0, 0].numpy()


def _warped(warp: Warp, image: Volume, brain: Volume, mask: Volume) -> tuple[Volume, ...]:
    """Linear interpolation; at the brain's edge among brain voxels alone."""
    sides = np.array(image.shape[2:], dtype=float)
    turn = Rotation.from_euler("xyz", warp.angles_deg, degrees=True).as_matrix()
    matrix = np.diag(1 / sides) @ turn @ np.diag(np.array(warp.factors) * sides)
    # affine_grid counts from the last axis, in halves of a side.
    theta = np.column_stack([matrix[::-1, ::-1], 2 * np.array(warp.shift)[::-1]])
    grid = functional.affine_grid(
        torch.from_numpy(theta).float()[None], [1, 1, *image.shape[2:]], align_corners=False
    )
    stacked = torch.cat([image, brain, mask], dim=1)
    moved = functional.grid_sample(stacked, grid, mode="bilinear", align_corners=False)
    inside = moved[:, 1:2] > 0.5
    values = (moved[:, :1] / moved[:, 1:2].clamp(min=0.5)).masked_fill(~inside, 0.0)
    return values, inside.float(), (moved[:, 2:] >= 0.5).float()


def _averaged(image: Volume, brain: Volume, axis: int, thickness: int) -> Volume:
    """Running means over some slices, of brain voxels alone."""
    kernel = [thickness if other == axis else 1 for other in range(3)]
    # An even number of slices reaches one further back than ahead.
    before, after = (thickness - 1) // 2, thickness // 2
    pad = [side for other in (2, 1, 0) for side in ((before, after) if other == axis else (0, 0))]

    def mean(values: Volume) -> Volume:
        return functional.avg_pool3d(functional.pad(values, pad), kernel, stride=1)

    return mean(image * brain) / mean(brain).clamp(min=1e-3)


def _adjust_gamma(image: Volume, brain: Volume, gamma: float) -> Volume:
    """Another curve between the brain's extremes; its mean and standard deviation stay."""
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
