"""L = L_segmentation + λ · L_marker, with its terms kept for the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from plgg.config import LossConfig
from plgg.losses.dice import soft_dice_loss
from plgg.losses.marker import marker_loss
from plgg.losses.voxel import voxel_cross_entropy


@dataclass(frozen=True, eq=False)
class Losses:
    """The total to descend on and its terms, keyed by head."""

    total: Tensor
    terms: dict[str, Tensor]


def multitask_loss(
    outputs: Mapping[str, Tensor],
    *,
    mask: Float[Tensor, "batch 1 i j k"],
    has_mask: Tensor,
    marker: Tensor,
    weights: Float[Tensor, " classes"],
    settings: LossConfig,
) -> Losses:
    """The loss of a batch; a network without the head `marker` has the first term alone.

    Args:
        outputs: Logits by head.
        mask: Tumour, 0 or 1.
        has_mask: Whether the mask is known, shape (batch,).
        marker: Class index, -1 where unknown, shape (batch,).
        weights: Weight of each class.
        settings: λ and the form of the Dice.
    """
    segmentation = soft_dice_loss(
        outputs["segmentation"],
        mask,
        has_mask,
        epsilon=settings.dice_epsilon,
        over=settings.dice_over,
    )
    if settings.voxel_weight:
        voxels = voxel_cross_entropy(outputs["segmentation"], mask, has_mask)
        segmentation = segmentation + settings.voxel_weight * voxels
    if "marker" not in outputs:
        return Losses(segmentation, {"segmentation": segmentation})
    named = marker_loss(outputs["marker"], marker, weights)
    total = segmentation + settings.marker_weight * named
    return Losses(total, {"segmentation": segmentation, "marker": named})
