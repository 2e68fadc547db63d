"""Whether a slice shows tumour, a classification of each slice of a patch.

A 2.5-D network answers for each slice. A 3-D network answers for each layer of its bottleneck along
the last axis, which covers 8 slices with four levels; the target is 1 if one of them shows tumour.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from plgg.tasks.base import BodySpec
from plgg.tasks.mask_task import MaskTask, Spacing


class SliceHead(nn.Module):
    """One logit for each layer of the bottleneck, from its mean and its maximum in the plane.

    Args:
        channels: Of the bottleneck.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(2 * channels), nn.Linear(2 * channels, 1))

    def forward(self, bottleneck: Float[Tensor, "batch c i j k"]) -> Float[Tensor, "batch k"]:
        """Logits."""
        pooled = torch.cat([bottleneck.mean(dim=(2, 3)), bottleneck.amax(dim=(2, 3))], dim=1)
        logits: Tensor = self.layers(pooled.float().transpose(1, 2))
        return logits[..., 0]


class TumourSlice(MaskTask):
    """Whether a slice shows tumour, with binary cross-entropy."""

    kind: ClassVar[str] = "tumour_slice"
    reads = "bottleneck"

    def head(self, body: BodySpec) -> nn.Module:
        """A logit for each layer of the bottleneck."""
        return SliceHead(body.channels)

    def mask_target(self, mask: NDArray[np.float32], spacing_mm: Spacing) -> NDArray[np.float32]:
        """Shape (K,), 0 or 1."""
        del spacing_mm
        return np.asarray((mask > 0.5).any(axis=(0, 1)), dtype=np.float32)

    def losses(
        self, output: Float[Tensor, "batch n"], value: Float[Tensor, "batch k"]
    ) -> Float[Tensor, " batch"]:
        """Mean over the slices, or over slabs of them as thick as the bottleneck's layers."""
        shown = functional.adaptive_max_pool1d(value[:, None], output.shape[1])[:, 0]
        each = functional.binary_cross_entropy_with_logits(output, shown, reduction="none")
        return each.mean(dim=1)
