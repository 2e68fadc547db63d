"""Voxel-wise cross-entropy of the segmentation: an addition to the published Dice loss."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def voxel_cross_entropy(
    logits: Float[Tensor, "batch 1 i j k"],
    mask: Float[Tensor, "batch 1 i j k"],
    has_mask: Tensor,
    *,
    n_known: int | None = None,
) -> Tensor:
    """Mean binary cross-entropy over the voxels of the patches whose mask is known.

    Args:
        logits: Raw output of the segmentation head.
        mask: Tumour, 0 or 1.
        has_mask: Shape (batch,), bool.
        n_known: Known masks of the whole batch that this is a piece of; by default this is all.

    Returns:
        Scalar; 0 without gradient where no mask is known.
    """
    if not bool(has_mask.any()):
        return logits.sum() * 0.0
    mean = functional.binary_cross_entropy_with_logits(
        logits.float()[has_mask], mask.float()[has_mask]
    )
    return mean if n_known is None else mean * (has_mask.sum() / n_known)
