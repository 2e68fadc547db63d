"""The terms of the loss, one for each task; how they are weighed is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from plgg.config import LossConfig
from plgg.tasks.classification import marker_loss
from plgg.tasks.segmentation import soft_dice_loss, voxel_cross_entropy

Mask = Float[Tensor, "batch 1 i j k"]


def task_losses(
    outputs: Mapping[str, Any],
    *,
    mask: Mask,
    has_mask: Tensor,
    marker: Tensor,
    weights: Float[Tensor, " classes"],
    settings: LossConfig,
    n_masks: int | None = None,
    n_markers: int | None = None,
) -> dict[str, Tensor]:
    """The loss of each task on a batch or on a piece of one.

    Args:
        outputs: Logits by head; `deep`, where it is there, holds outlines at half, a quarter … of
            the resolution.
        mask: Tumour, 0 or 1.
        has_mask: Whether the mask is known, shape (batch,).
        marker: Class index, -1 where unknown, shape (batch,).
        weights: Weight of each class.
        settings: The form of the segmentation's loss.
        n_masks: Known masks of the whole batch, where this is a piece; the pieces' losses add up.
        n_markers: Known markers likewise.

    Returns:
        `segmentation`, and `marker` if the network has that head.
    """
    outlines = [outputs["segmentation"], *outputs.get("deep", ())]
    shares = torch.tensor([settings.deep_weight**level for level in range(len(outlines))])
    segmentation = mask.new_zeros(())
    for outline, share in zip(outlines, (shares / shares.sum()).tolist(), strict=True):
        loss = _segmentation_loss(outline, mask, has_mask, settings=settings, n_known=n_masks)
        segmentation = segmentation + share * loss
    losses = {"segmentation": segmentation}
    if "marker" in outputs:
        logits = outputs["marker"]
        losses["marker"] = marker_loss(logits, marker, weights, n_known=n_markers)
    return losses


def _segmentation_loss(
    logits: Mask, mask: Mask, has_mask: Tensor, *, settings: LossConfig, n_known: int | None
) -> Tensor:
    if logits.shape != mask.shape:
        # A coarse voxel is tumour as far as its fine ones are.
        mask = functional.interpolate(mask.float(), size=logits.shape[2:], mode="area")
    loss = soft_dice_loss(
        logits,
        mask,
        has_mask,
        epsilon=settings.dice_epsilon,
        over=settings.dice_over,
        n_known=n_known,
    )
    if not settings.voxel_weight:
        return loss
    voxels = voxel_cross_entropy(logits, mask, has_mask, n_known=n_known)
    return loss + settings.voxel_weight * voxels
