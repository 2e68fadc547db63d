"""The network that is validated and kept: the average of a training, mixed with its start.

w = s · w₀ + (1 - s) · w̄ (Wortsman et al. 2022, Robust fine-tuning of zero-shot models). Weights
lie in one valley with those that they were reached from, and between the two the loss on what was
not learnt is often lower than at either end.
"""

from __future__ import annotations

from copy import deepcopy

import torch

from plgg.model.network import MultitaskNet
from plgg.train.optimisation import Average


class InterpolatedAverage:
    """What is validated and kept of a training.

    Args:
        average: The average of its weights, of which nothing has been learnt yet.
        share: Of the weights that it starts from, 0 to 1; at 0 the average itself is kept.
    """

    def __init__(self, average: Average, share: float) -> None:
        self._average, self._share = average, share
        self._start = deepcopy(average.network) if share else None
        self._mixed = deepcopy(average.network) if share else None

    @property
    def network(self) -> MultitaskNet:
        """As it was when it was last mixed."""
        return self._average.network if self._mixed is None else self._mixed

    def mix(self) -> MultitaskNet:
        """Mix it anew from the average as it is now."""
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
