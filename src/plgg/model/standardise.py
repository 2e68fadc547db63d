"""Features brought to mean 0 and variance 1 by moments that run along with the training.

Knows nothing of where features come from.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

Reduce = Callable[[Tensor], Tensor]
"""Sum of a tensor over all processes that train together."""


class Standardise(nn.Module):
    """Each feature to mean 0 and variance 1 over the patients seen lately.

    What patients share dwarfs what tells them apart in the pooled bottleneck, and a branch fed on
    that ends in one constant answer. The moments are running averages that take no part in the
    gradient and are used alike in training and after it, so that a batch of one will do and a
    prediction does not depend on its neighbours. A step uses the moments of the steps before it:
    then it does not matter how its batch was dealt out.

    Args:
        channels: Number of features.
        momentum: Weight of a new batch in the running averages.
    """

    mean: Tensor
    square: Tensor
    weight: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.05) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.zeros(channels))
        # Sum of the weights so far: divides out the zeros that the averages began with.
        self.register_buffer("weight", torch.zeros(()))
        # Whether what it sees belongs to the batch; a patch that is only lent does not.
        self.counted = True
        # Sums over the batch that is under way: of features, of their squares, and their number.
        self._seen: list[Tensor] = []

    def forward(self, features: Float[Tensor, "batch c"]) -> Float[Tensor, "batch c"]:
        """Features less their running mean over their running standard deviation."""
        if self.training and torch.is_grad_enabled():
            if self.counted:
                self._see(features.detach())
            if not self.weight:
                # Nothing is known yet, and raw features would swamp the layers behind.
                return features - features.detach()
        known = self.weight.clamp(min=self.momentum)
        mean = self.mean / known
        # A variance of 1 is believed until there is better, lest two like patients blow it up.
        variance = (self.square / known - mean * mean).clamp(min=0.0) * self.weight
        return (features - mean) * torch.rsqrt(variance + (1.0 - self.weight) + 1e-5)

    def _see(self, features: Tensor) -> None:
        number = features.new_full((1,), len(features))
        self._seen.append(torch.cat([features.sum(dim=0), features.square().sum(dim=0), number]))

    def commit(self, reduce: Reduce = lambda sums: sums) -> None:
        """Take what the batch showed into the running averages; call after each training step.

        Also where this process had only a patch that was lent: the others wait for its sums.
        """
        n = len(self.mean)
        nothing = self.mean.new_zeros(2 * n + 1)
        sums = reduce(torch.stack(self._seen).sum(dim=0) if self._seen else nothing)
        self._seen = []
        if not sums[-1]:
            return
        for average, value in (
            (self.mean, sums[:n] / sums[-1]),
            (self.square, sums[n:-1] / sums[-1]),
            (self.weight, torch.ones_like(self.weight)),
        ):
            average.lerp_(value, self.momentum)
