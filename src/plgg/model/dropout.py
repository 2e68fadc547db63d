"""Dropout whose chance belongs to the patch: the same in whatever batch, piece or process it is.

Knows nothing of where it stands in a network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LAYERS_APART = 0x9E3779B97F4A7C15
_LARGEST = 2**63 - 1


class SeededDropout(nn.Module):
    """Zeroes features, or whole channels of an image, and scales the rest up.

    Source: N. Srivastava and others, Dropout, Journal of Machine Learning Research 15, 2014.

    Args:
        share: Chance of each to be zeroed.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self._seeds: list[int] | None = None

    def draw(self, seeds: Tensor, layer: int) -> None:
        """Set what the next forward passes draw from.

        Args:
            seeds: One for each patch of the batch.
            layer: Number of this layer in the network, so that no two draw alike.
        """
        self._seeds = [(seed + layer * _LAYERS_APART) % _LARGEST for seed in seeds.tolist()]

    def forward(self, features: Tensor) -> Tensor:
        """Features of shape (batch, channels, ...); as they are when not training."""
        if not (self.training and self.share):
            return features
        return features * self._factors(features)

    def _factors(self, features: Tensor) -> Tensor:
        shape = features.shape[:2]
        if self._seeds is None:
            drawn = torch.rand(shape)
        else:
            rows = [
                torch.rand(shape[1], generator=torch.Generator().manual_seed(seed))
                for seed in self._seeds
            ]
            drawn = torch.stack(rows)
        kept = (drawn >= self.share).to(features.device, features.dtype) / (1.0 - self.share)
        return kept.reshape(*shape, *[1] * (features.dim() - 2))
