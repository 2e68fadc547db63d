"""Interpolation of the averaged weights of a training with its initial weights.

w = s · w₀ + (1 - s) · w̄ (Wortsman et al. 2022, Robust fine-tuning of zero-shot models). Fine-tuned
weights lie in one basin of the loss with the initial ones, and between the two the loss on other
data is often lower than at either end.
"""

from __future__ import annotations

from copy import deepcopy

import torch

from plgg.model.network import MultitaskNet
from plgg.train.optimisation import Average


class InterpolatedAverage:
    """The network that is validated and saved: averaged weights, interpolated with initial ones.

    Args:
        average: Average of the weights, before the first step.
        share: Share of the initial weights, 0 to 1; at 0 the average itself is used.
    """

    def __init__(self, average: Average, share: float) -> None:
        self._average, self._share = average, share
        self._start = deepcopy(average.network) if share else None
        self._mixed = deepcopy(average.network) if share else None

    @property
    def network(self) -> MultitaskNet:
        """The network of the last call of `mix`."""
        return self._average.network if self._mixed is None else self._mixed

    def mix(self) -> MultitaskNet:
        """Compute it from the present average."""
        if self._start is None or self._mixed is None:
            return self._average.network
        began, now = self._start.state_dict(), self._average.network.state_dict()
        with torch.no_grad():
            for name, value in self._mixed.state_dict().items():
                if value.is_floating_point():
                    value.copy_(torch.lerp(now[name], began[name], self._share))
                else:
                    value.copy_(now[name])
        return self._mixed
