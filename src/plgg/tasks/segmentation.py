"""Segmentation losses: soft Dice with squared terms (equation 2 of the paper), cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from plgg.config import SEGMENTATION, LossConfig
from plgg.core.registry import Registry
from plgg.tasks.base import Target

Mask = Float[Tensor, "batch 1 i j k"]
# Deep supervision: weight of each coarser level relative to the next finer one, as in nnU-Net.
_COARSER = 0.5


class Segmentation:
    """The segmentation task; its target is the mask of a patch.

    With several regions, the loss is the mean over all known regions of all patches. Soft Dice has
    no gradient for a region that a patch lacks, so regions within the tumour always have the
    cross-entropy as well.

    Args:
        settings: Forms of the losses.
    """

    kind: ClassVar[str] = "segmentation"

    def __init__(self, settings: LossConfig) -> None:
        SEGMENTATION_LOSSES.find(settings.segmentation)
        self.name, self.settings = SEGMENTATION, settings

    def loss(
        self, outputs: Mapping[str, Any], target: Target, *, n_known: int | None = None
    ) -> Tensor:
        """The set loss (soft Dice by default), with voxel-wise cross-entropy if set.

        With deep supervision, coarser levels have lower weights. The target's `known` has the shape
        (batch,), or (batch, regions), and `n_known` counts it.
        """
        mask = target.value
        outlines = [outputs[self.name], *outputs.get("deep", ())]
        shares = torch.tensor([_COARSER**level for level in range(len(outlines))])
        total = mask.new_zeros(())
        for outline, share in zip(outlines, (shares / shares.sum()).tolist(), strict=True):
            of = _outline_loss if target.known.ndim == 1 else _regions_loss
            loss = of(outline, target, settings=self.settings, n_known=n_known)
            total = total + share * loss
        return total


def _outline_loss(
    logits: Mask, target: Target, *, settings: LossConfig, n_known: int | None
) -> Tensor:
    mask, has_mask = target
    if logits.shape != mask.shape:
        # The target of a coarse voxel is the tumour fraction of its fine voxels.
        mask = functional.interpolate(mask.float(), size=logits.shape[2:], mode="area")
    chosen = SEGMENTATION_LOSSES.find(settings.segmentation)
    loss = chosen(logits, mask, has_mask, settings=settings, n_known=n_known)
    if not settings.voxel_weight:
        return loss
    voxels = voxel_cross_entropy(logits, mask, has_mask, n_known=n_known)
    return loss + settings.voxel_weight * voxels


_LEAST_VOXEL_WEIGHT = 1.0


def _regions_loss(
    logits: Tensor, target: Target, *, settings: LossConfig, n_known: int | None
) -> Tensor:
    """Mean of the losses of all known regions of all patches; channels are regions."""
    n_all = n_known or max(1, int(target.known.sum()))
    total = logits.sum() * 0.0
    for place in range(target.known.shape[1]):
        part = slice(place, place + 1)
        own = Target(target.value[:, part], target.known[:, place])
        n_own = int(own.known.sum())
        if n_own:
            form = settings if place == 0 else _with_voxels(settings)
            loss = _outline_loss(logits[:, part], own, settings=form, n_known=None)
            total = total + loss * (n_own / n_all)
    return total


def _with_voxels(settings: LossConfig) -> LossConfig:
    if settings.voxel_weight:
        return settings
    return settings.model_copy(update={"voxel_weight": _LEAST_VOXEL_WEIGHT})


class OutlineLoss(Protocol):
    """Interface of a segmentation loss; unknown masks must give no gradient."""

    def __call__(
        self,
        logits: Tensor,
        mask: Tensor,
        has_mask: Tensor,
        *,
        settings: LossConfig,
        n_known: int | None,
    ) -> Tensor:
        """The loss as a scalar.

        Args:
            logits: Shape (batch, 1, i, j, k).
            mask: Likewise, 0 to 1.
            has_mask: Shape (batch,), bool.
            settings: Of all losses.
            n_known: Known masks of the whole batch, if this is a piece of one; else None.
        """
        ...


def _dice(
    logits: Tensor,
    mask: Tensor,
    has_mask: Tensor,
    *,
    settings: LossConfig,
    n_known: int | None,
) -> Tensor:
    return soft_dice_loss(
        logits,
        mask,
        has_mask,
        epsilon=settings.dice_epsilon,
        over=settings.dice_over,
        n_known=n_known,
    )


SEGMENTATION_LOSSES: Registry[OutlineLoss] = Registry(
    "loss of the outline", "plgg.losses", {"dice": _dice}
)


def register_loss(name: str, loss: OutlineLoss) -> None:
    """Register a segmentation loss under a name that `loss.segmentation` may use.

    Raises:
        ConfigError: If the name is taken by another.
    """
    SEGMENTATION_LOSSES.add(name, loss)


def soft_dice_loss(
    logits: Float[Tensor, "batch 1 i j k"],
    mask: Float[Tensor, "batch 1 i j k"],
    has_mask: Tensor,
    *,
    epsilon: float = 1e-5,
    over: Literal["sample", "batch"] = "sample",
    n_known: int | None = None,
) -> Tensor:
    """L = 1 - 2 Σ p·g / (Σ p² + Σ g² + ε), p the sigmoid of the logits.

    The form with squares is that of Milletari, Navab and Ahmadi (V-Net, 2016); ε stands in the
    denominator alone, so a patch without tumour costs 1 whatever is predicted and gives no
    gradient. With `over="batch"` the sums run over the batch, and such a patch counts again.

    Args:
        logits: Raw output of the segmentation head.
        mask: Tumour, 0 or 1.
        has_mask: Shape (batch,), bool; patches with an unknown mask take no part.
        epsilon: ε.
        over: What the sums run over.
        n_known: Known masks of the whole batch, if this is a piece of one, so that losses of
            pieces add up; by default this is the whole batch.

    Returns:
        Scalar; 0 without gradient where no mask is known.
    """
    if not bool(has_mask.any()):
        return logits.sum() * 0.0
    probability = torch.sigmoid(logits.float())[has_mask]
    truth = mask.float()[has_mask]
    axes = (1, 2, 3, 4) if over == "sample" else (0, 1, 2, 3, 4)
    overlap = (probability * truth).sum(axes)
    size = (probability * probability).sum(axes) + (truth * truth).sum(axes)
    loss = 1.0 - 2.0 * overlap / (size + epsilon)
    return loss.mean() if n_known is None or over == "batch" else loss.sum() / n_known


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
