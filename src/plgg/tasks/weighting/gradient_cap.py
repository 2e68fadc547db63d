"""A cap on what auxiliary tasks may do to the shared encoder, beside the outline."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class GradientCap:
    """g_k ← g_k · min(1, c · |g_segmentation| / |g_k|), for gradients on the encoder.

    Where an auxiliary gradient is the longer one it is shortened, and its direction kept: strategy
    A of MetaBalance (He et al., WWW 2022, https://arxiv.org/abs/2203.06801), with a share c of the
    outline's norm for its 1, the norms of this batch for their moving averages, and the whole
    encoder for each layer by itself.

    Attributes:
        share: c.
        tasks: Which are capped, each by itself.

    Example:
        >>> rows = torch.tensor([[3.0, 4.0], [0.0, 10.0]])
        >>> GradientCap(0.5, {"marker"}).apply(rows, ["segmentation", "marker"]).tolist()
        [[3.0, 4.0], [0.0, 2.5]]
    """

    share: float
    tasks: Collection[str]

    def apply(
        self, gradients: Float[Tensor, "tasks n"], tasks: Collection[str]
    ) -> Float[Tensor, "tasks n"]:
        """The gradients of the weighted losses on the encoder, none of them longer than it may be.

        What is not finite stays so, and ends the run with its message.

        Args:
            gradients: A row for each task, the segmentation's first.
            tasks: Their names.
        """
        norms = gradients.norm(dim=1)
        # Of a gradient of 0 nothing is left to shorten.
        factors = (self.share * norms[0] / norms).nan_to_num(nan=1.0).clamp(max=1.0)
        factors = torch.where(norms.isfinite(), factors, 1.0)
        capped = torch.tensor([task in self.tasks for task in tasks], device=gradients.device)
        return torch.where(capped, factors, 1.0)[:, None] * gradients
