"""The learning rate over the epochs."""

from __future__ import annotations

import math

from plgg.config import OptimiserConfig


def learning_rate(settings: OptimiserConfig, epoch: int) -> float:
    """Rate during an epoch, counted from 0.

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
