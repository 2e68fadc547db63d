"""What every way of weighing tasks gives the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

Terms = Mapping[str, float]
"""A number for each task: `segmentation` first, then the others."""


class Weighting(Protocol):
    """The total to descend on, from the tasks' losses or from their gradients.

    All numbers it is told are those of the whole batch, the same in every process.
    """

    separate: bool
    """Whether every step needs the gradient of each task on its own."""

    def weights(self) -> dict[str, float]:
        """Factor on each task's loss in the next step."""

    def combine(self, gradients: Float[Tensor, "tasks n"]) -> Float[Tensor, " n"]:
        """One gradient on the shared encoder from those of the weighted losses.

        Tasks are in the order of `weights()`.
        """

    def after_step(self, losses: Terms, norms: Terms | None) -> None:
        """Told after each step: losses, and norms of the unweighted gradients on the encoder."""

    def after_epoch(self, losses: Terms) -> None:
        """Told after each epoch: mean losses."""

    def state(self) -> dict[str, float]:
        """What a resumed run needs."""

    def restore(self, state: Terms) -> None:
        """Take up what `state` gave."""
