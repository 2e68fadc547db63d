"""Dynamic weight average: the task whose loss falls more slowly is given more weight."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from plgg.train.weighting.weighting import Terms


class DynamicWeightAverage:
    """w_k = base_k · K · exp(r_k / T) / Σ_i exp(r_i / T), r_k = L̄_k(t − 1) / L̄_k(t − 2).

    Liu, Johns and Davison, CVPR 2019, https://arxiv.org/abs/1803.10704, of K tasks and the mean
    losses of the two epochs before. Their weights sum to K; here they are factors on the first
    weights, so that λ keeps its meaning. In the first two epochs, and after one in which a task had
    no loss, r = 1.

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
        """Take up ratios and losses."""
        self._last = {task: state[f"last.{task}"] for task in self._base}
        self._ratios = {task: state[f"ratio.{task}"] for task in self._base}
