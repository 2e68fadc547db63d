"""Homoscedastic uncertainty: each task's weight is learned as the inverse of its own noise."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from plgg.train.weighting.weighting import Terms


class Uncertainty:
    """The total Σ exp(−s) · L + s, in which each task's log variance s is learned as well.

    Kendall, Gal and Cipolla, CVPR 2018, https://arxiv.org/abs/1705.07115, with the factors ½ left
    out: they would only halve the weights. Its derivative by s is 1 − exp(−s) · L, so that s needs
    the losses alone and has a gradient descent of its own; the derivative is held within ±1, so
    that one batch of large loss cannot throw s far. Where a loss is steady, s ends at log L.

    Args:
        weights: Of each task at first, s = −log(weight).
        rate: Step of the descent on s.
        limit: The weights stay within this factor of the first ones.
    """

    separate = False

    def __init__(self, weights: Terms, *, rate: float, limit: float) -> None:
        self._first = {task: -math.log(weight) for task, weight in weights.items()}
        self._logs = dict(self._first)
        self._rate, self._reach = rate, math.log(limit)

    def weights(self) -> dict[str, float]:
        """Factor on each task's loss, exp(−s)."""
        return {task: math.exp(-log) for task, log in self._logs.items()}

    def combine(self, gradients: Float[Tensor, "tasks n"]) -> Float[Tensor, " n"]:
        """Their sum."""
        return gradients.sum(dim=0)

    def after_step(self, losses: Terms, norms: Terms | None) -> None:  # noqa: ARG002
        """One step of each s; a task without loss, unknown in the whole batch, tells nothing."""
        for task, weight in self.weights().items():
            if losses[task] > 0.0:
                slope = max(1.0 - weight * losses[task], -1.0)
                moved = self._logs[task] - self._rate * slope
                first = self._first[task]
                self._logs[task] = min(max(moved, first - self._reach), first + self._reach)

    def after_epoch(self, losses: Terms) -> None:
        """Nothing changes between epochs."""

    def state(self) -> dict[str, float]:
        """Every s."""
        return dict(self._logs)

    def restore(self, state: Terms) -> None:
        """Take up every s."""
        self._logs = {task: state[task] for task in self._logs}
