"""Loss weights of the tasks: fixed (the paper), proportional, DWA, homoscedastic uncertainty."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from plgg.tasks.weighting.base import Terms


class FixedWeights:
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


class Proportional:
    """w_marker = λ · L̄_segmentation / L̄_marker, over the means of the epoch before.

    So the marker's part of the total is λ times the segmentation's, and likewise for other tasks.
    The weight is λ in the first epoch, and after an epoch in which a task had no loss.

    Args:
        weights: Initial weight of each task, λ for the marker; the first task's is constant.
        limit: The weights stay within this factor of the initial ones, because the loss of an
            overfitted marker is near 0.
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
        """Set the weights of the next epoch by the losses of this one."""
        first = losses[next(iter(self._base))]
        known = all(losses[task] > 0.0 for task in self._base)
        for task in self._base:
            ratio = first / losses[task] if known else 1.0
            self._factors[task] = min(max(ratio, 1.0 / self._limit), self._limit)

    def state(self) -> dict[str, float]:
        """The ratios of the losses."""
        return dict(self._factors)

    def restore(self, state: Terms) -> None:
        """Restore the ratios."""
        self._factors = {task: state[task] for task in self._base}


class DynamicWeightAverage:
    """w_k = base_k · K · exp(r_k / T) / Σ_i exp(r_i / T), r_k = L̄_k(t − 1) / L̄_k(t − 2).

    Liu, Johns and Davison, CVPR 2019, https://arxiv.org/abs/1803.10704, for K tasks and the mean
    losses of the two epochs before. In the paper the weights sum to K; here they are factors on the
    initial weights, so that λ keeps its meaning. r is 1 in the first two epochs, and where a task
    had no loss in one of the two epochs before.

    Args:
        weights: Of each task at first.
        temperature: T; the larger it is, the more alike are the factors.
    """

    separate = False

    def __init__(self, weights: Terms, temperature: float) -> None:
        self._base, self._temperature = dict(weights), temperature
        # 0 stands for no loss: nothing is known yet.
        self._last = dict.fromkeys(weights, 0.0)
        self._ratios = dict.fromkeys(weights, 1.0)

    def weights(self) -> dict[str, float]:
        """Factor on each task's loss."""
        highest = max(self._ratios.values())
        parts = {t: math.exp((r - highest) / self._temperature) for t, r in self._ratios.items()}
        scale = len(parts) / sum(parts.values())
        return {task: base * scale * parts[task] for task, base in self._base.items()}

    def combine(self, gradients: Float[Tensor, "tasks n"]) -> Float[Tensor, " n"]:
        """Their sum."""
        return gradients.sum(dim=0)

    def after_step(self, losses: Terms, norms: Terms | None) -> None:
        """Nothing changes within an epoch."""

    def after_epoch(self, losses: Terms) -> None:
        """Compare this epoch's losses with those of the last."""
        known = all(min(losses[task], self._last[task]) > 0.0 for task in self._base)
        for task, last in self._last.items():
            self._ratios[task] = losses[task] / last if known else 1.0
        self._last = {task: losses[task] for task in self._base}

    def state(self) -> dict[str, float]:
        """The ratios, and the losses of the last epoch."""
        last = {f"last.{task}": loss for task, loss in self._last.items()}
        return last | {f"ratio.{task}": ratio for task, ratio in self._ratios.items()}

    def restore(self, state: Terms) -> None:
        """Restore ratios and losses."""
        self._last = {task: state[f"last.{task}"] for task in self._base}
        self._ratios = {task: state[f"ratio.{task}"] for task in self._base}


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
        """Update each s by one step, except for tasks without a loss in the batch."""
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
        """Restore every s."""
        self._logs = {task: state[task] for task in self._logs}
