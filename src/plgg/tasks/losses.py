"""The loss: L = L_segmentation + λ · L_marker, and of other tasks, L = Σ w_k · L_k."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from plgg.tasks.base import Target, Task


def task_losses(
    tasks: Mapping[str, Task],
    outputs: Mapping[str, Any],
    targets: Mapping[str, Target],
    *,
    n_known: Mapping[str, int] | None = None,
) -> dict[str, Tensor]:
    """The loss of each task on a batch or on a piece of one.

    Args:
        tasks: By name.
        outputs: Of the network, by head.
        targets: The truths, by task.
        n_known: Known targets of the whole batch, where this is a piece; the pieces' losses add up.
    """
    counts = n_known or {}
    return {
        name: task.loss(outputs, targets[name], n_known=counts.get(name))
        for name, task in tasks.items()
    }


def total_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L = Σ w_k · L_k; with the published weights, L = L_segmentation + λ · L_marker."""
    return torch.stack([weight * losses[name] for name, weight in weights.items()]).sum()
