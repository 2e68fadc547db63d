"""GradNorm: weights that balance the tasks' gradient norms on the encoder by learning speed."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from plgg.tasks.weighting.base import Terms


class GradNorm:
    """Gradient descent of the weights w_k on Σ |w_k · n_k − Ḡ · r_k^α|.

    Chen, Badrinarayanan, Lee and Rabinovich, ICML 2018, https://arxiv.org/abs/1711.02257. n_k is
    the norm of the task's gradient on the encoder, Ḡ the mean of w_k · n_k, and r_k the task's
    L_k / L_k(first) relative to its mean. Ḡ · r_k^α is held constant, so the derivative is
    sign(w_k · n_k − Ḡ · r_k^α) · n_k; it is divided by the mean of the n_k, so that the rate has no
    unit. The weights are scaled to keep their sum.

    Args:
        weights: Of each task at first.
        alpha: α; 0 makes the norms equal, more gives the slower task more.
        rate: Step of the weights, relative to their sum.
        limit: Before they are scaled, the weights stay within this factor of the first ones.
    """

    separate = True

    def __init__(self, weights: Terms, *, alpha: float, rate: float, limit: float) -> None:
        self._base = dict(weights)
        self._weights = dict(weights)
        self._alpha, self._rate, self._limit = alpha, rate, limit
        # 0 stands for a loss not seen yet.
        self._first = dict.fromkeys(weights, 0.0)

    def weights(self) -> dict[str, float]:
        """Factor on each task's loss."""
        return dict(self._weights)

    def combine(self, gradients: Float[Tensor, "tasks n"]) -> Float[Tensor, " n"]:
        """Their sum."""
        return gradients.sum(dim=0)

    def after_step(self, losses: Terms, norms: Terms | None) -> None:
        """One step of the weights; none where a task has no loss or no gradient in the batch."""
        if norms is None:
            return
        seen = [value for task in self._base for value in (losses[task], norms[task])]
        if not all(0.0 < value < math.inf for value in seen):
            return
        if not all(self._first.values()):
            self._first = {task: losses[task] for task in self._base}
        slopes = self._slopes(losses, norms)
        total = sum(self._base.values())
        moved = {
            task: min(max(weight - self._rate * total * slopes[task], low), high)
            for task, weight in self._weights.items()
            for low, high in [(self._base[task] / self._limit, self._base[task] * self._limit)]
        }
        scale = total / sum(moved.values())
        self._weights = {task: weight * scale for task, weight in moved.items()}

    def after_epoch(self, losses: Terms) -> None:
        """Nothing changes between epochs."""

    def state(self) -> dict[str, float]:
        """The weights, and the first losses."""
        first = {f"first.{task}": loss for task, loss in self._first.items()}
        return first | {f"weight.{task}": weight for task, weight in self._weights.items()}

    def restore(self, state: Terms) -> None:
        """Take up weights and first losses."""
        self._first = {task: state[f"first.{task}"] for task in self._base}
        self._weights = {task: state[f"weight.{task}"] for task in self._base}

    def _slopes(self, losses: Terms, norms: Terms) -> dict[str, float]:
        """Derivative by each weight, over the mean norm."""
        n_tasks = len(self._base)
        pulls = {task: weight * norms[task] for task, weight in self._weights.items()}
        left = {task: losses[task] / first for task, first in self._first.items()}
        mean_pull, mean_left = sum(pulls.values()) / n_tasks, sum(left.values()) / n_tasks
        mean_norm = sum(norms[task] for task in self._base) / n_tasks
        slopes = {}
        for task, pull in pulls.items():
            excess = pull - mean_pull * (left[task] / mean_left) ** self._alpha
            sign = (excess > 0.0) - (excess < 0.0)
            slopes[task] = sign * norms[task] / mean_norm
        return slopes
