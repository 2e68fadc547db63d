"""Weights that make the losses alike: the marker counts by λ, however large its loss is."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from plgg.train.weighting.weighting import Terms


class Proportional:
    """w_marker = λ · L̄_segmentation / L̄_marker, over the means of the epoch before.

    So the marker's part of the total is λ times the segmentation's. The first epoch is trained with
    λ; so is one that comes after an epoch in which a task had no loss.

    Args:
        weights: Of each task at first, λ for the marker's; the first task's stays.
        limit: The weights stay within this factor of the first ones, for a marker that is learned
            by heart has a loss near 0.
    """

    separate = False

    def __init__(self, weights: Terms, limit: float) -> None:
        self._base, self._limit = dict(weights), limit
        self._factors = dict.fromkeys(weights, 1.0)

    def weights(self) -> dict[str, float]:
        """Factor on each task's loss."""
        return {task: self._factors[task] * base for task, base in self._base.items()}

    def combine(self, gradients: Float[Tensor, "tasks n"]) -> Float[Tensor, " n"]:
        """Their sum."""
        return gradients.sum(dim=0)

    def after_step(self, losses: Terms, norms: Terms | None) -> None:
        """Nothing changes within an epoch."""

    def after_epoch(self, losses: Terms) -> None:
        """Weigh the next epoch by the losses of this one."""
        first = losses[next(iter(self._base))]
        known = all(losses[task] > 0.0 for task in self._base)
        for task in self._base:
            ratio = first / losses[task] if known else 1.0
            self._factors[task] = min(max(ratio, 1.0 / self._limit), self._limit)

    def state(self) -> dict[str, float]:
        """The ratios of the losses."""
        return dict(self._factors)

    def restore(self, state: Terms) -> None:
        """Take up the ratios."""
        self._factors = {task: state[task] for task in self._base}
