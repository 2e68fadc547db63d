"""Fixed weights, and on the shared encoder another sum of the tasks' gradients than the plain one.

A scheme sees the gradients' inner products alone: 2 × 2 numbers, however long the gradients are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from plgg.train.weighting.weighting import Terms

Gramian = Float[Tensor, "tasks tasks"]
Factors = Callable[[Gramian], Float[Tensor, " tasks"]]
"""From the inner products of the gradients, of trace 1 and in float64, to a factor on each one."""


class Joined:
    """The gradient Σ c_k · g_k on the encoder, c from the inner products of the weighted g_k.

    Where a task has no gradient there (its labels are unknown in the whole batch) there is nothing
    to weigh up, and the other's is taken as it is. What is not finite stays so, for the training to
    see.

    Args:
        weights: Of each task.
        factors: The scheme; scaled such that it gives ones where there is nothing to change.
    """

    separate = True

    def __init__(self, weights: Terms, factors: Factors) -> None:
        self._weights, self._factors = dict(weights), factors

    def weights(self) -> dict[str, float]:
        """Factor on each task's loss."""
        return dict(self._weights)

    def combine(self, gradients: Float[Tensor, "tasks n"]) -> Float[Tensor, " n"]:
        """Their sum with the scheme's factors."""
        products = gramian(gradients)
        trace = float(products.trace())
        # No scheme makes sense of a length that is 0 or not finite.
        if not 0.0 < trace < float("inf") or not bool((products.diagonal() > 0.0).all()):
            return gradients.sum(dim=0)
        return self._factors(products / trace).to(gradients) @ gradients

    def after_step(self, losses: Terms, norms: Terms | None) -> None:
        """Nothing changes."""

    def after_epoch(self, losses: Terms) -> None:
        """Nothing changes."""

    def state(self) -> dict[str, float]:
        """Nothing to keep."""
        return {}

    def restore(self, state: Terms) -> None:
        """Nothing was kept."""


def gramian(gradients: Float[Tensor, "tasks n"]) -> Gramian:
    """Inner products of the rows, on the processor, in float64, no cosine beyond ±1."""
    # Sums of products, not a matrix product: some devices round its factors.
    rows = torch.stack([(gradients * row).sum(dim=1) for row in gradients])
    products = rows.to(device="cpu").double()
    lengths = products.diagonal().sqrt()
    largest = torch.outer(lengths, lengths)
    return products.clamp(-largest, largest)
