"""State of a training run as named tensors, for checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from plgg.core.errors import CheckpointError
from plgg.model.checkpoint import optimiser_tensors, restore_optimiser, unprefixed
from plgg.model.network import MultitaskNet
from plgg.tasks.weighting.base import Weighting
from plgg.train.interpolation import InterpolatedAverage
from plgg.train.optimisation import Average


@dataclass(frozen=True)
class State:
    """The objects that change during training."""

    network: MultitaskNet
    optimiser: torch.optim.Optimizer
    average: Average
    weighting: Weighting
    kept: InterpolatedAverage

    def best(self) -> dict[str, Tensor]:
        """Tensors of the network for prediction."""
        return _prefixed("model.", self.kept.network.state_dict())

    def last(self) -> dict[str, Tensor]:
        """Tensors for a resumed run."""
        weighting = {
            name: torch.tensor(value, dtype=torch.float64)
            for name, value in self.weighting.state().items()
        }
        return {
            **_prefixed("model.", self.network.state_dict()),
            **_prefixed("average.", self.average.tensors()),
            **_prefixed("weighting.", weighting),
            **optimiser_tensors(self.optimiser),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore the tensors that `last` gave.

        Raises:
            CheckpointError: If it is of another network, optimiser or weighting.
        """
        try:
            self.network.load_state_dict(unprefixed(tensors, "model."))
            self.average.restore(unprefixed(tensors, "average."))
            kept = unprefixed(tensors, "weighting.")
            self.weighting.restore({name: float(value) for name, value in kept.items()})
            restore_optimiser(self.optimiser, tensors)
        except (RuntimeError, LookupError, ValueError, TypeError) as error:
            raise CheckpointError(
                "the last checkpoint does not fit what is trained",
                remedy="Copy the run again, or begin a new one.",
            ) from error


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in tensors.items()}
