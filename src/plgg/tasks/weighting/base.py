"""`Weighting`: the interface between task weighting and the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

Terms = Mapping[str, float]
"""A number for each task: `segmentation` first, then the others."""


class Weighting(Protocol):
    """Combines the tasks' losses or gradients into the one that is optimised.

    All its inputs are those of the whole batch, the same in every process.
    """

    separate: bool
    """Whether every step needs the gradient of each task on its own."""

    def weights(self) -> dict[str, float]:
        """Factor on each task's loss in the next step."""

    def combine(self, gradients: Float[Tensor, "tasks n"]) -> Float[Tensor, " n"]:
        """Combine the gradients of the weighted losses on the shared encoder into one.

        Tasks are in the order of `weights()`.
        """

    def after_step(self, losses: Terms, norms: Terms | None) -> None:
        """Update after each step: losses, and norms of the unweighted gradients on the encoder."""

    def after_epoch(self, losses: Terms) -> None:
        """Update after each epoch, by its mean losses."""

    def state(self) -> dict[str, float]:
        """State for a resumed run."""

    def restore(self, state: Terms) -> None:
        """Restore the state that `state` gave."""
