"""A cap on the gradients of auxiliary tasks on the shared encoder, relative to segmentation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class GradientCap:
    """g_k ← g_k · min(1, c · |g_segmentation| / |g_k|), for gradients on the encoder.

    An auxiliary gradient that is too long is shortened; its direction is kept. This is strategy A
    of MetaBalance (He et al., WWW 2022, https://arxiv.org/abs/2203.06801), except that the limit is
    a share c of the segmentation's norm instead of 1, norms are those of this batch instead of
    moving averages, and the encoder is treated as a whole instead of layer by layer.

    Attributes:
        share: c.
        tasks: Tasks to cap, each separately.

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
        """Cap the gradients of the weighted losses on the encoder.

        Gradients that are not finite stay so, and the training then stops with a message.

        Args:
            gradients: A row for each task, the segmentation's first.
            tasks: Their names.
        """
        norms = gradients.norm(dim=1)
        # The factor of a gradient of norm 0 is NaN or infinite; it is left as it is.
        factors = (self.share * norms[0] / norms).nan_to_num(nan=1.0).clamp(max=1.0)
        factors = torch.where(norms.isfinite(), factors, 1.0)
        capped = torch.tensor([task in self.tasks for task in tasks], device=gradients.device)
        return torch.where(capped, factors, 1.0)[:, None] * gradients
