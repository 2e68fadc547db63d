"""Fixed weights: L = L_segmentation + λ · L_marker, the published way."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from plgg.train.weighting.weighting import Terms


class Fixed:
    """Constant weights.

    Args:
        weights: Of each task.
    """

    separate = False

    def __init__(self, weights: Terms) -> None:
        self._weights = dict(weights)

    def weights(self) -> dict[str, float]:
        """Factor on each task's loss."""
        return dict(self._weights)

    def combine(self, gradients: Float[Tensor, "tasks n"]) -> Float[Tensor, " n"]:
        """Their sum."""
        return gradients.sum(dim=0)

    def after_step(self, losses: Terms, norms: Terms | None) -> None:
        """Nothing changes."""

    def after_epoch(self, losses: Terms) -> None:
        """Nothing changes."""

    def state(self) -> dict[str, float]:
        """Nothing to keep."""
        return {}

    def restore(self, state: Terms) -> None:
        """Nothing was kept."""
