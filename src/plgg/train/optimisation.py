"""The optimiser, its schedule, and the exponential moving average of the weights."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from plgg.config import OptimiserConfig
from plgg.model.network import MultitaskNet


def learning_rate(settings: OptimiserConfig, epoch: int) -> float:
    """Learning rate of an epoch, counted from 0.

    `poly` is lr · (1 - epoch / epochs)^0.9, as with the backbone's authors (Myronenko 2018);
    `cosine` falls to 0 over half a period. A warm-up rises linearly to the schedule.
    """
    done = epoch / settings.epochs
    factor = {
        "poly": (1.0 - done) ** 0.9,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * done)),
        "constant": 1.0,
    }[settings.schedule]
    warm = min(1.0, (epoch + 1) / (settings.warmup_epochs + 1))
    return float(settings.learning_rate * factor * warm)


def make_optimiser(
    network: MultitaskNet, settings: OptimiserConfig, device: torch.device
) -> torch.optim.Optimizer:
    """Make Adam or AdamW (Loshchilov and Hutter 2019), with a lower rate for the encoder if set."""
    kind = torch.optim.AdamW if settings.decoupled else torch.optim.Adam
    trained = [p for p in network.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": trained, "share": 1.0}]
    if settings.encoder_rate < 1.0:
        encoder = {id(p) for p in network.encoder_parameters()}
        inside = [p for p in trained if id(p) in encoder]
        rest = [p for p in trained if id(p) not in encoder]
        groups = [
            {"params": inside, "share": settings.encoder_rate},
            {"params": rest, "share": 1.0},
        ]
    return kind(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=device.type in {"cpu", "cuda"},
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, scaled by the share of each parameter group."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


class Average:
    """Exponential moving average of a network's weights; with decay 0 the network itself.

    w̄ ← d · w̄ + (1 − d) · w after each step, d = min(decay, (1 + n) / (10 + n)) after n steps, so
    that the first, random weights are soon forgotten (as in TensorFlow's and timm's averages).

    Args:
        network: The network to train.
        decay: Largest d; 0 for no average.
    """

    def __init__(self, network: MultitaskNet, decay: float) -> None:
        self._trained = network
        self._decay = decay
        self._averaged = (
            AveragedModel(network, avg_fn=self._mixed, use_buffers=True) if decay else None
        )

    @property
    def network(self) -> MultitaskNet:
        """The averaged weights, or the network itself."""
        if self._averaged is None:
            return self._trained
        return cast("MultitaskNet", self._averaged.module)

    def update(self) -> None:
        """Update the average after a step."""
        if self._averaged is not None:
            self._averaged.update_parameters(self._trained)

    def tensors(self) -> dict[str, Tensor]:
        """State for a resumed run."""
        return {} if self._averaged is None else dict(self._averaged.state_dict())

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore the state that `tensors` gave."""
        if self._averaged is not None:
            self._averaged.load_state_dict(tensors)

    def _mixed(self, averaged: Tensor, new: Tensor, n: Tensor | int) -> Tensor:
        decay = min(self._decay, (1.0 + float(n)) / (10.0 + float(n)))
        return averaged.lerp(new, 1.0 - decay)
